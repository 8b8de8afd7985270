from __future__ import annotations

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import BadInput


def test_a_model_that_does_not_fit_is_told_what_would_make_it_fit():
    result = CliRunner().invoke(app, ["plan", "pythia-1b", "full_fine_tuning", "--device", "t4", "--tokens", "8"])
    assert result.exit_code == 0, result.output
    assert "does not fit a T4" in result.output
    words = result.output.partition("instead:")[2]
    assert "LoRA in place of all weights" in words and "FSDP on" in words


def test_an_unknown_device_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="unknown device 'h10'; did you mean 'h100'"):
        CliRunner().invoke(app, ["plan", "smollm2-135m", "lora", "--device", "h10"], catch_exceptions=False)
