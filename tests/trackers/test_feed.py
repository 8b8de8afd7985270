"""What trackers are told of a run, and that none of them can harm it."""

from __future__ import annotations

import threading
from typing import ClassVar

import pytest
from demo import Pretend, Warned, demo_plan, drive, with_curve

from bench.api import execute
from bench.core.errors import BadInput, Unavailable
from bench.driver.watcher import Watcher
from bench.trackers import Board, RunLog, Tracker, trackers
from bench.trackers import feed as feeding
from bench.trackers.feed import Feed

SMALL = {"study": {"trials": 2}, "finals": {"seeds": 1}}


class Notebook(Tracker):
    """Writes down what it is told."""

    lines: ClassVar[list] = []
    fails_at: str = ""
    hangs: bool = False

    def open(self, results, experiment):
        if self.hangs:
            threading.Event().wait(5)
        self.tell("open")
        return Pages(self)

    def tell(self, line):
        self.lines.append((threading.current_thread().name, line))
        if self.fails_at and self.fails_at in line:
            raise RuntimeError("the disk\nis full")


class Pages(Board):
    def __init__(self, notebook):
        self.notebook = notebook

    def begin(self, spec):
        self.notebook.tell(f"begin {spec.kind} {spec.number}")
        return Page(self.notebook)

    def close(self):
        self.notebook.lines.append(("", "close"))


class Page(RunLog):
    def __init__(self, notebook):
        self.notebook = notebook

    def number(self, name, value, step):
        self.notebook.tell(f"{name} {step}")

    def finish(self, record):
        self.notebook.tell(f"finish {record and record.status}")


def fed(tmp_path, tracker, **changes):
    Notebook.lines.clear()
    planned, watcher = demo_plan(tmp_path, **{**SMALL, **changes}), Warned()
    engine = drive(planned, Pretend(specs=[], play=with_curve), Feed(watcher, {"notebook": tracker}, tmp_path, "demo"))
    return [line for _, line in Notebook.lines], watcher.said, engine


def test_a_tracker_hears_of_every_number_of_every_run_once(tmp_path):
    lines, warnings, _ = fed(tmp_path, Notebook())
    assert not warnings
    assert (lines[0], lines[-1]) == ("open", "close")
    begun = [place for place, line in enumerate(lines) if line.startswith("begin")]
    assert [lines[place] for place in begun] == ["begin trial 0", "begin trial 1", "begin final 0"]
    validation = [f"validation/accuracy {step}" for step in (1, 2)]
    training = [f"train/{name} {step}" for step in (1, 2) for name in ("loss", "gradient_norm", "learning_rate")]
    assert sorted(lines[begun[0] + 1 : begun[1]]) == sorted([*validation, *training, "finish ok"])
    assert sorted(lines[begun[2] + 1 : -1]) == sorted([*validation, *training, "test/accuracy 2", "finish ok"])
    assert {name for name, _ in Notebook.lines[:-1]} == {"tracker-notebook"}


@pytest.mark.parametrize("moment", ["open", "begin trial 1", "train/loss", "finish"])
def test_a_tracker_that_fails_is_left_out_with_one_warning_and_every_run_is_done(tmp_path, moment):
    lines, warnings, engine = fed(tmp_path, Notebook(fails_at=moment))
    assert warnings == ["tracker notebook: RuntimeError: the disk is full; the run goes on without it"]
    assert len(engine.specs) == 3
    assert sum(moment in line for line in lines) == 1, "nothing more is told"


def test_a_tracker_that_hangs_does_not_hold_up_the_end_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(feeding, "_PATIENCE", 0.05)
    _, warnings, engine = fed(tmp_path, Notebook(hangs=True))
    assert len(engine.specs) == 3
    assert warnings == ["tracker notebook: has not written everything within 0 s; the run goes on without it"]


def test_runs_that_were_interrupted_are_closed_as_such(tmp_path):
    Notebook.lines.clear()
    planned = demo_plan(tmp_path, workers=2, **SMALL)
    engine = Pretend(specs=[], stop_after=1, workers=2)
    with pytest.raises(KeyboardInterrupt):
        drive(planned, engine, Feed(Watcher(), {"notebook": Notebook()}, tmp_path, "demo"))
    assert [line for _, line in Notebook.lines].count("finish None") == 2


def test_experiments_name_trackers_like_methods(tmp_path):
    planned = demo_plan(trackers=["tensorboard", {"mlflow": {"tracking_uri": "postgresql://me:secret@host/db"}}])
    assert list(planned.trackers) == ["tensorboard", "mlflow"]
    assert "secret" not in planned.manifest.model_dump_json(), "a password is not written down"
    assert demo_plan(trackers=["tensorboard"]).cells[0].hash == demo_plan().cells[0].hash, "they change no result"
    with pytest.raises(BadInput, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        demo_plan(trackers=["tensorbord"])
    with pytest.raises(BadInput, match="unknown key; did you mean 'folder'"):
        demo_plan(trackers=[{"tensorboard": {"foldr": "x"}}])


def test_a_package_that_is_missing_is_said_before_anything_runs(tmp_path):
    class Absent(Notebook):
        requires: ClassVar[str] = "no_such_package_anywhere"
        extra: ClassVar[str] = "absent"

    trackers.add("absent", Absent, owner="test")
    try:
        planned = demo_plan(tmp_path / "r", trackers=["absent"])
        with pytest.raises(Unavailable, match=r"pip install 'promptscale\[absent\]'"):
            execute(planned)
    finally:
        trackers.forget("test")
    assert not (tmp_path / "r").exists()
