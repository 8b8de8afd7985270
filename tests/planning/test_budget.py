"""What fits: into so many hours, and into this machine's memory."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from demo import Pretend, demo_plan
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.api import Selection, execute
from bench.cli import app
from bench.cli.run import within
from bench.core.errors import BadInput
from bench.driver.shards import Shard
from bench.planning import estimating
from bench.planning.budget import cut
from bench.planning.cells import estimate, work_of
from bench.planning.devices import device
from bench.planning.estimating import answers, main, too_large_cells
from bench.planning.predict import predict
from bench.planning.schedule import Expected

FILE = "experiments/smoke.yaml"


def planned(trials=8, **changes):
    return demo_plan(methods=["prompt_tuning", "lora"], study={"trials": trials}, finals={"seeds": 2}, **changes)


def seconds(cells, trial=10.0, final=5.0):
    return {c.path: Expected(trial, final, c.study.trials, 0.0, 3, c.planned_finals) for c in cells}


def test_what_fits_is_left_as_it_is():
    cells = planned().cells
    kept, said = cut(cells, seconds(cells), budget=2 * (80 + 10))
    assert kept == cells and "nothing was cut" in said


def test_trials_are_cut_alike_and_the_cells_stay_the_same_cells():
    cells = planned().cells
    kept, said = cut(cells, seconds(cells), budget=2 * (30 + 10) + 19)
    assert [cell.study.trials for cell in kept] == [3, 3]
    assert [cell.path for cell in kept] == [cell.path for cell in cells]
    assert "3 trials a study in place of up to 8" in said


def test_repeats_are_cut_with_the_trials():
    cells = demo_plan(study={"trials": 8, "repeats": 5}, finals={"seeds": 2}).cells
    for budget, trials in ((10 + 10, 1), (2 * 10 + 2 * 10 + 10, 2), (80 + 50 + 10, 8)):
        kept, _ = cut(cells, seconds(cells), budget)
        assert kept[0].study.trials == trials


def test_finals_alone_can_be_too_much():
    cells = planned().cells
    with pytest.raises(BadInput, match=r"with one trial a cell it still takes .* finals\.seeds"):
        cut(cells, seconds(cells), budget=39)


@given(st.lists(st.floats(0.1, 1e4), min_size=2, max_size=2), st.floats(0, 1e5))
def test_what_is_kept_fits_and_one_trial_more_would_not(trials, budget):
    cells = planned().cells
    each = {c.path: Expected(t, t, 8, 0.0, 3, 2) for c, t in zip(cells, trials, strict=True)}
    try:
        kept, _ = cut(cells, each, budget)
    except BadInput:
        assert 3 * sum(trials) > budget
        return
    number = kept[0].study.trials
    assert (number + 2) * sum(trials) <= budget * (1 + 1e-9)
    assert number == 8 or (number + 3) * sum(trials) > budget


def test_a_plan_that_was_cut_says_so_and_its_manifest_too(monkeypatch):
    asked = planned(engine="processes")
    monkeypatch.setattr("bench.planning.places.place", lambda *_: type("Place", (), {"start": 0.0}))
    monkeypatch.setattr("bench.planning.budget.seconds_of", lambda cells, on: seconds(cells, 1800.0, 0.0))
    found = within(asked, hours=2)
    assert [cell.study.trials for cell in found.cells] == [2, 2]
    assert {one.trials for one in found.manifest.cells.values()} == {2}
    assert found.notes[-1].startswith("--budget-hours 2: cut to fit: 2 trials a study in place of up to 8")


def test_shards_and_machines_that_were_not_measured_cannot_be_cut(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    asked = planned(engine="processes")
    with pytest.raises(BadInput, match="each shard would cut trials by its own measure"):
        within(asked.select(Selection(shard=Shard.parse("1/2"))), hours=1)
    with pytest.raises(BadInput, match="engine 'processes'"):
        within(planned(engine="inline"), hours=1)
    with pytest.raises(BadInput, match="bench calibrate --workers 1"):
        CliRunner().invoke(app, ["run", FILE, "--budget-hours", "1"], catch_exceptions=False)


def test_a_dry_run_on_a_machine_that_was_not_measured_says_how_to(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.planning.places.calibration", lambda *_: None)
    printed = CliRunner().invoke(app, ["run", FILE, "--dry-run"], catch_exceptions=False).output
    assert "time: not known; 'bench calibrate --workers 1' measures this machine" in printed


@pytest.mark.parametrize(("peak", "refused"), [(2.0**29, 0), (2.0**31, 4)])
def test_a_cell_that_cannot_fit_is_known_before_it_begins(peak, refused, monkeypatch):
    asked = planned(models=["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]).cells

    def found_by_a_process(what, cells):
        found = {"peak": peak, "usable": 2.0**30, "where": "this machine"}
        return nullcontext(SimpleNamespace(stdout=[json.dumps({"path": c.path, "found": found}) for c in cells]))

    monkeypatch.setattr(estimating, "estimating", found_by_a_process)
    said = []
    found = too_large_cells(asked, said.append)
    assert said == ["predicting whether qwen2.5-coder-0.5b, qwen2.5-coder-1.5b will fit into memory"]
    assert len(found) == refused
    assert all(
        reason.startswith("predicted to need 2.0 GiB in passes of one example, and this machine has 1.0 GiB for it")
        for reason in found.values()
    )


def test_what_a_process_estimates_is_what_a_prediction_says(monkeypatch, capsys):
    cells = demo_plan(methods=["majority", "full_fine_tuning"], training={"batch_size": 4}).cells
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([cell.model_dump(mode="json") for cell in cells])))
    monkeypatch.setattr("os.nice", lambda _: None)
    main("peaks", "1", "1")
    (found,) = answers(capsys.readouterr().out.splitlines()).values()
    work, _ = work_of(cells[1], torch.float32)
    assert found["peak"] == predict(work.in_smallest_passes()).peak
    assert found["where"] == "this machine"


class Here(Pretend):
    on_this_machine = True


def test_a_refused_cell_is_recorded_and_force_tries_it(tmp_path, monkeypatch):
    asked = replace(demo_plan(tmp_path), engine=Here(specs=[]))
    reason = "predicted to need 9 GiB"
    monkeypatch.setattr("bench.api.prepare", lambda *_: None)
    monkeypatch.setattr("bench.planning.estimating.too_large_cells", lambda cells, say: {cells[0].path: reason})
    (refused,) = execute(asked)
    assert (refused.status, refused.reason) == ("infeasible", reason)
    assert {record.status for record in execute(asked, force=True)} == {"ok"}


def test_finals_that_write_take_longer_by_what_they_write(tmp_path):
    rows = [{"instruction": f"say {i}", "output": "well"} for i in range(60)]
    (tmp_path / "data.json").write_text(json.dumps(rows))

    def expected(metrics, tokens):
        table = {"path": str(tmp_path / "data.json"), "format": "instruction", "metrics": metrics}
        sizes = {"validation_size": 8, "test_size": 20, "generate": {"max_new_tokens": tokens}}
        cells = demo_plan(models=["glasslm-0.9m"], methods=["lora"], datasets=[{"local": {**table, **sizes}}]).cells
        return estimate(cells[0], device("H100")).seconds

    unwritten, short, long = expected(["nll"], 4), expected(["f1_squad"], 4), expected(["f1_squad"], 16)
    assert unwritten.trial == short.trial == long.trial
    assert unwritten.final < short.final < long.final
