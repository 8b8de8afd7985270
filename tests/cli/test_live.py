"""Live progress: what is on the screen while a run goes on."""

from __future__ import annotations

import io

import pytest
from demo import demo_plan, ended
from rich.console import Console

from bench.cli.live import View
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
    screen.view.end()
    one, two, three = screen.printed().splitlines()
    assert one.startswith("[1/8]  glasslm-0.9m / trec6 / prompt_tuning, trial 0  ok  accuracy 1.020  (best 1.020)")
    assert "accuracy 0.020  (best 1.020)  1 s  learning_rate=0.01  num_virtual_tokens=20" in two
    assert "oom" in three and "[no] room" in three


def test_what_an_earlier_run_has_left_counts():
    screen = Screen(terminal=False)
    screen.view.begin([ended(screen.spec(n), seconds={"total": 10.0}) for n in range(4)])
    assert "going on: 4 of 8 runs are done already" in screen.printed()
    assert "4 of 8 runs done, about 40 s left" in screen.drawn()[-1]


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
    # One run of 2 s is left on the small model; on the large one 2 x 2 s x (134.5 + 10) / (0.85 + 10).
    assert "1 of 4 runs done, about 55 s left" in screen.drawn()[-1]
