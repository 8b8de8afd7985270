"""Live progress: what is on the screen while a run goes on."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from demo import demo_plan, ended
from rich.console import Console

from bench.cli.live import Forecast, View
from bench.planning.schedule import Expected
from bench.runs.spec import TrialSpec


class Screen:
    """A run of the demo before a terminal of a given width, or before none."""

    def __init__(self, width: int = 80, terminal: bool = True, workers: int = 1, **changes) -> None:
        self.console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
        self.cells = demo_plan(**changes).cells
        self.view = View(self.console, self.cells, workers)

    def spec(self, number: int = 0, kind: str = "trial", cell: int = 0, **params) -> TrialSpec:
        return TrialSpec(experiment="demo", cell=self.cells[cell], kind=kind, number=number, seed=number, params=params)

    def drawn(self) -> list[str]:
        with self.console.capture() as capture:
            self.console.print(self.view.render())
        return capture.get().rstrip("\n").split("\n")

    def printed(self) -> str:
        return self.console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("workers", [1, 4])
def test_each_running_trial_is_one_line_that_is_never_wrapped(width, workers):
    screen = Screen(width, workers=workers, models=[{"glasslm-0.9m": {"label": "a-model-with-a-rather-long-name"}}])
    screen.view.finished(ended(screen.spec(9)))
    for number in range(workers):
        spec = screen.spec(number)
        screen.view.started(spec)
        screen.view.progress(spec, 37, 200, 1.23456)
    lines = screen.drawn()
    assert len(lines) == workers + 1
    assert all(len(line) <= width for line in lines)
    for number in range(workers):
        assert f"trial {number}" in lines[number]
        assert "37/200" in lines[number]


def test_the_last_line_says_what_is_done_and_how_long_it_will_take():
    screen = Screen()
    assert "0 of 8 runs done, time left not known yet" in screen.drawn()[-1]
    for number in range(3):
        screen.view.finished(ended(screen.spec(number), seconds={"total": 60.0}))
    assert "3 of 8 runs done, about 5 min left" in screen.drawn()[-1]


def test_with_two_workers_it_takes_half_as_long():
    screen = Screen(workers=2)
    for number in range(2):
        screen.view.finished(ended(screen.spec(number), seconds={"total": 60.0}))
    assert "about 3 min left" in screen.drawn()[-1]


def test_before_anything_has_ended_the_running_trial_foretells(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    screen = Screen()
    spec = screen.spec()
    screen.view.started(spec)
    now[0] = 30.0
    screen.view.progress(spec, 10, 20, 1.0)
    assert "about 8 min left" in screen.drawn()[-1]


def test_a_run_that_is_tried_again_does_not_count_as_done():
    screen = Screen(terminal=False)
    screen.view.retried(ended(screen.spec(), status="killed", reason="gone"))
    assert "0 of 8 runs done" in screen.drawn()[-1]
    assert "trial 0  killed, trying again: gone" in screen.printed()


def test_a_line_for_each_end_says_cell_score_best_and_configuration():
    screen = Screen(terminal=False)
    screen.view.begin([])
    screen.view.finished(ended(screen.spec(0, learning_rate=0.1, num_virtual_tokens=20)))
    screen.view.finished(ended(screen.spec(1, learning_rate=0.01, num_virtual_tokens=20)))
    screen.view.finished(ended(screen.spec(2), status="oom", reason="[no] room"))
    screen.view.finished(ended(screen.spec(3, init_text="[/INST] [kind]")))
    screen.view.end()
    one, two, three, four = screen.printed().splitlines()
    assert one.startswith("[1/8]  glasslm-0.9m / trec6 / prompt_tuning, trial 0  ok  accuracy 1.020  (best 1.020)")
    assert "accuracy 0.020  (best 1.020)  1 s  learning_rate=0.01  num_virtual_tokens=20" in two
    assert "oom" in three and "[no] room" in three
    assert "init_text=[/INST] [kind]" in four, "a value is text, and no style of the screen"


def test_what_an_earlier_run_has_left_counts():
    screen = Screen(terminal=False)
    screen.view.begin([ended(screen.spec(n), seconds={"total": 10.0}) for n in range(4)])
    assert "going on: 4 of 8 runs are done already" in screen.printed()
    # Two trials of 10 s, and two finals that are tested besides.
    assert "4 of 8 runs done, about 41 s left" in screen.drawn()[-1]


def test_a_final_of_another_configuration_takes_the_place_of_the_one_before():
    screen = Screen(terminal=False)
    screen.view.begin([ended(screen.spec(0, "final", learning_rate=0.1))])
    screen.view.finished(ended(screen.spec(0, "final", learning_rate=0.2)))
    assert "1 of 8 runs done" in screen.drawn()[-1]


def test_the_best_is_the_lowest_where_lower_is_better():
    screen = Screen(terminal=False)
    screen.cells[0] = screen.cells[0].model_copy(update={"greater_is_better": False})
    for number, value in enumerate((0.5, 0.2, 0.4)):
        screen.view.finished(ended(screen.spec(number), objective=value))
    assert "accuracy 0.400  (best 0.200)" in screen.printed().splitlines()[-1]


def test_a_larger_models_time_is_foretold_by_its_size():
    screen = Screen(models=["glasslm-0.9m", "smollm2-135m"], study={"trials": 1}, finals={"seeds": 1})
    small, large = (screen.spec(cell=n) for n in (0, 1))
    assert small.cell.labels[0] == "glasslm-0.9m" and large.cell.labels[0] == "smollm2-135m"
    screen.view.finished(ended(small, seconds={"total": 2.0}))
    # A final of 2 s and a test is left on the small model; on the large one two runs,
    # (134.5 + 10) / (0.85 + 10) times as long.
    assert "1 of 4 runs done, about 57 s left" in screen.drawn()[-1]


def expected(cell, trial, final):
    return Expected(trial, final, cell.study.trials, stopped=0.0, startup=3, finals=cell.planned_finals)


def test_where_the_machine_was_measured_the_time_is_known_before_anything_has_run():
    screen = Screen(workers=2)
    screen.view.clock.expect({cell.path: expected(cell, 60.0, 120.0) for cell in screen.cells})
    assert "0 of 8 runs done, about 5 min left" in screen.drawn()[-1]  # (6 x 60 s + 2 x 120 s) / 2


def test_repeats_are_counted_and_take_as_long_as_trials():
    screen = Screen(study={"repeats": 2})
    (cell,) = screen.cells
    screen.view.clock.expect({cell.path: replace(expected(cell, 60.0, 120.0), repeats=cell.planned_repeats)})
    assert "0 of 10 runs done, about 12 min left" in screen.drawn()[-1]  # (6 + 2) x 60 s + 2 x 120 s
    for kind, number in [*(("trial", n) for n in range(6)), ("repeat", 3)]:
        screen.view.finished(ended(screen.spec(number, kind), seconds={"total": 60.0}))
    assert "7 of 10 runs done, about 5 min left" in screen.drawn()[-1]


def test_what_runs_have_taken_corrects_what_was_expected():
    screen = Screen(models=["glasslm-0.9m", "smollm2-135m"], study={"trials": 1}, finals={"seeds": 1})
    small, large = screen.cells
    screen.view.clock.expect({small.path: expected(small, 10.0, 20.0), large.path: expected(large, 100.0, 200.0)})
    screen.view.finished(ended(screen.spec(), seconds={"total": 30.0}))
    # Three times as long as expected: the final of the small model and all of the large one are, too.
    assert "1 of 4 runs done, about 16 min left" in screen.drawn()[-1]


def test_a_cell_that_cannot_be_predicted_keeps_its_proportion():
    screen = Screen(models=["glasslm-0.9m", "smollm2-135m"], study={"trials": 1}, finals={"seeds": 0})
    small, _ = screen.cells
    screen.view.clock.expect({small.path: expected(small, 30.0, 0.0)})
    # 30 s and (134.5 + 10) / (0.85 + 10) times as long.
    assert "0 of 2 runs done, about 7 min left" in screen.drawn()[-1]


def test_a_model_of_unknown_size_is_not_counted_before_it_has_run(tmp_path):
    folder = {"local": {"path": str(tmp_path), "label": "mine"}}
    screen = Screen(models=["glasslm-0.9m", folder], study={"trials": 1}, finals={"seeds": 1})
    known, unknown = (screen.spec(cell=n) for n in (0, 1))
    screen.view.finished(ended(known, seconds={"total": 20.0}))
    assert "1 of 4 runs done, about 21 s left, mine not counted" in screen.drawn()[-1]
    screen.view.finished(ended(unknown, seconds={"total": 40.0}))
    assert "2 of 4 runs done, about 64 s left" in screen.drawn()[-1]


def test_a_baseline_that_has_run_tells_nothing_of_training():
    screen = Screen(methods=["majority", "prompt_tuning"])
    assert screen.cells[0].model is None
    screen.view.finished(ended(screen.spec(kind="final"), seconds={"total": 5.0}))
    assert "time left not known yet" in screen.drawn()[-1]


def test_what_loading_a_model_took_is_not_expected_of_the_next_run():
    screen = Screen(finals={"seeds": 0})
    screen.view.finished(ended(screen.spec(), seconds={"total": 70.0, "load": 60.0}))
    assert "1 of 6 runs done, about 50 s left" in screen.drawn()[-1]


def test_without_a_calibration_nobody_estimates(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("bench.cli.live.estimating", lambda *_: pytest.fail("it has nothing to say"))
    forecast = Forecast(demo_plan().cells, 1, 1, pytest.fail)
    forecast.start()
    forecast.stop()


@pytest.mark.parametrize("code", ["print(LINE)", "print(LINE, flush=True); import time; time.sleep(60)"])
def test_a_forecast_is_told_when_it_is_whole_and_ends_with_the_run(code, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    (tmp_path / "calibrations").mkdir()
    (cell,) = demo_plan().cells
    line = json.dumps({"path": cell.path, "found": asdict(expected(cell, 1.0, 2.0))})
    command = [sys.executable, "-c", f"LINE = {line!r}; {code}"]
    monkeypatch.setattr(
        "bench.cli.live.estimating", lambda *_: subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    )
    told = []
    forecast = Forecast([cell], 1, 1, told.append)
    forecast.start()
    if "sleep" not in code:
        forecast._process.wait()
        forecast._thread.join()
    forecast.stop()
    assert told == ([] if "sleep" in code else [{cell.path: expected(cell, 1.0, 2.0)}])
