from __future__ import annotations

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import BadInput


def test_an_unknown_device_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="unknown device 'h10'; did you mean 'h100'"):
        CliRunner().invoke(app, ["plan", "smollm2-135m", "lora", "--device", "h10"], catch_exceptions=False)
