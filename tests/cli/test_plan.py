from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from bench.cli import app, plan
from bench.core.errors import BadInput


def test_an_unknown_device_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="unknown device 'h10'; did you mean 'h100'"):
        CliRunner().invoke(app, ["plan", "smollm2-135m", "lora", "--device", "h10"], catch_exceptions=False)


def test_a_file_is_planned_for_as_many_workers_as_it_will_have(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(
        "name: tiny\nmodels: [smollm2-135m]\ndatasets: [{trec6: {train_size: 40}}]\nmethods: [hard_prompt]\n"
    )
    asked = ["plan", str(file), "--device", "h100", "--price", "3600"]
    output = CliRunner().invoke(app, [*asked, "--workers", "2"], catch_exceptions=False).output
    found = re.search(
        r"all cells: ([\d.]+) s of one worker, ([\d.]+) s with 2 workers, ([\d.]+) at 3600 an hour", output
    )
    assert found, output
    one, two, money = map(float, found.groups())
    assert two == pytest.approx(one / 2, abs=0.1) and money == pytest.approx(one, abs=0.1)


def test_what_a_run_takes_around_its_trials_is_counted_once():
    said = plan._total(60.0, 2, SimpleNamespace(start=12.0), price=36.0)
    assert "1.0 min of one worker, 30.0 s with 2 workers; 42.0 s with start, first scores and report (12.0 s)" in said
    assert "0.42 at 36 an hour" in said
