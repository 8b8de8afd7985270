"""Feeds trackers with what a run's watcher hears, each in a thread of its own: none can hold up or stop a run."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from bench.core.errors import named_line
from bench.driver.watcher import Watcher
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.trackers.base import Board, RunLog, Tracker

_MOST_WAITING = 2000
"""Of more calls than that, losses of single steps are not added; they come with the record of the run."""
_PATIENCE = 30.0
"""Seconds that a tracker has, when all runs have ended, for what it has not written yet."""

_Call = Callable[["_Lane"], None]
_Number = tuple[str, float, int]


class Feed(Watcher):
    """Passes on to another watcher what it hears, and to trackers; one that fails is left out from there on.

    Args:
        watcher: the one to pass on to; hears a warning, once, of a tracker that fails.
        trackers: by their labels.
        results: the results folder.
        experiment: name of the experiment.
    """

    def __init__(self, watcher: Watcher, trackers: Mapping[str, Tracker], results: Path, experiment: str) -> None:
        self._watcher = watcher
        self._lanes = [_Lane(label, tracker, results, experiment) for label, tracker in trackers.items()]

    def begin(self, done: Sequence[TrialRecord]) -> None:
        """Open the boards; runs of an earlier driver are on them already."""
        self._watcher.begin(done)
        for lane in self._lanes:
            lane.start()

    def started(self, spec: TrialSpec) -> None:
        """Begin a log."""
        self._watcher.started(spec)
        self._tell(lambda lane: lane.begin(spec))

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Log the loss of a step."""
        self._watcher.progress(spec, step, steps, loss)
        number = ("train/loss", loss, step)
        self._tell(lambda lane: lane.log(spec, [number]), droppable=True)

    def validated(self, spec: TrialSpec, step: int, value: float) -> None:
        """Log a validation score."""
        self._watcher.validated(spec, step, value)
        number = (f"validation/{spec.cell.objective}", value, step)
        self._tell(lambda lane: lane.log(spec, [number]))

    def retried(self, record: TrialRecord) -> None:
        """Close the log of a run that died."""
        self._watcher.retried(record)
        self._tell(lambda lane: lane.finish(record))

    def finished(self, record: TrialRecord) -> None:
        """Log what the record has and progress had not, and close the log."""
        self._watcher.finished(record)
        self._tell(lambda lane: lane.finish(record))

    def warn(self, text: str) -> None:
        """Pass on a warning."""
        self._watcher.warn(text)

    def end(self) -> None:
        """Wait, but not for ever, until all is written."""
        begun = [lane for lane in self._lanes if lane.ident]
        for lane in begun:
            lane.calls.put(None)
        for lane in begun:
            lane.join(_PATIENCE)
            if lane.is_alive():
                lane.failure = f"has not written everything within {_PATIENCE:.0f} s"
        self._leave_out_what_failed()
        self._watcher.end()

    def _tell(self, call: _Call, droppable: bool = False) -> None:
        for lane in self._lanes:
            if not (droppable and lane.calls.qsize() > _MOST_WAITING):
                lane.calls.put(call)
        self._leave_out_what_failed()

    def _leave_out_what_failed(self) -> None:
        failed = [lane for lane in self._lanes if lane.failure is not None]
        self._lanes = [lane for lane in self._lanes if lane not in failed]
        for lane in failed:
            self._watcher.warn(f"tracker {lane.label}: {lane.failure}; the run goes on without it")


class _Lane(threading.Thread):
    """One tracker and its thread, which alone calls ``begin``, ``log`` and ``finish``."""

    def __init__(self, label: str, tracker: Tracker, results: Path, experiment: str) -> None:
        super().__init__(name=f"tracker-{label}", daemon=True)
        self.label = label
        self.failure: str | None = None
        self.calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._open = partial(tracker.open, results, experiment)
        self._board: Board | None = None
        self._logs: dict[str, tuple[RunLog, set[tuple[str, int]]]] = {}
        """Of each run that goes on, with what it has been told already."""

    def run(self) -> None:
        try:
            self._board = self._open()
            while (call := self.calls.get()) is not None:
                call(self)
            for log, _ in self._logs.values():
                log.finish(None)
        except (Exception, SystemExit) as error:  # of a tracker: what it shows is lost there, and nowhere else
            self.failure = named_line(error)
        finally:
            if self._board is not None:
                with suppress(Exception):
                    self._board.close()

    def begin(self, spec: TrialSpec) -> None:
        assert self._board is not None
        self._logs[spec.hash] = (self._board.begin(spec), set())

    def log(self, spec: TrialSpec, numbers: Iterable[_Number]) -> None:
        if spec.hash not in self._logs:
            return
        log, logged = self._logs[spec.hash]
        for name, value, step in numbers:
            if math.isfinite(value) and (name, step) not in logged:
                logged.add((name, step))
                log.number(name, value, step)

    def finish(self, record: TrialRecord) -> None:
        self.log(record.spec, _numbers(record))
        if record.spec_hash in self._logs:
            self._logs.pop(record.spec_hash)[0].finish(record)


def _numbers(record: TrialRecord) -> Iterator[_Number]:
    """Yield all that a record says by step."""
    for taken in record.train_curve:
        yield "train/loss", taken.loss, taken.step
        yield "train/gradient_norm", taken.grad_norm, taken.step
        yield "train/learning_rate", taken.learning_rate, taken.step
    for split, points in (("validation", record.validation_curve), ("test", [record.test] if record.test else [])):
        for point in points:
            for metric, value in point.metrics.items():
                yield f"{split}/{metric}", value, point.step
            if point.loss is not None:
                yield f"{split}/loss", point.loss, point.step
