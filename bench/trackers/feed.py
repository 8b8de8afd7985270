"""Feeds trackers with what a run's watcher hears, each in a thread of its own: none can hold up or stop a run."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
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

_Call = Callable[[], None]
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
        self._tell(lambda lane: lane.put(lambda: lane.begin(spec)))

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Log the loss of a step."""
        self._watcher.progress(spec, step, steps, loss)
        number = ("train/loss", loss, step)
        self._tell(lambda lane: lane.put(lambda: lane.log(spec, [number]), droppable=True))

    def validated(self, spec: TrialSpec, step: int, value: float) -> None:
        """Log a validation score."""
        self._watcher.validated(spec, step, value)
        number = (f"validation/{spec.cell.objective}", value, step)
        self._tell(lambda lane: lane.put(lambda: lane.log(spec, [number])))

    def retried(self, record: TrialRecord) -> None:
        """Close the log of a run that died."""
        self._watcher.retried(record)
        self._tell(lambda lane: lane.put(lambda: lane.finish(record)))

    def finished(self, record: TrialRecord) -> None:
        """Log what the record has and progress had not, and close the log."""
        self._watcher.finished(record)
        self._tell(lambda lane: lane.put(lambda: lane.finish(record)))

    def warn(self, text: str) -> None:
        """Pass on a warning."""
        self._watcher.warn(text)

    def end(self) -> None:
        """Wait, but not for ever, until all is written."""
        for lane in self._lanes:
            lane.stop()
        for lane in self._lanes:
            lane.join(_PATIENCE)
        self._tell(lambda lane: None)
        self._watcher.end()

    def _tell(self, tell: Callable[[_Lane], None]) -> None:
        for lane in list(self._lanes):
            tell(lane)
            if lane.failure is not None:
                self._lanes.remove(lane)
                self._watcher.warn(f"tracker {lane.label}: {lane.failure}; the run goes on without it")


class _Lane:
    """One tracker and its thread; ``start`` to ``join`` are for the driver's, what follows is for its own."""

    def __init__(self, label: str, tracker: Tracker, results: Path, experiment: str) -> None:
        self.label = label
        self.failure: str | None = None
        self._open: Callable[[], Board] = lambda: tracker.open(results, experiment)
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"tracker-{label}", daemon=True)
        self._board: Board | None = None
        self._logs: dict[str, RunLog] = {}
        self._logged: dict[str, set[tuple[str, int]]] = {}

    def start(self) -> None:
        self._thread.start()

    def put(self, call: _Call, droppable: bool = False) -> None:
        if self.failure is None and not (droppable and self._calls.qsize() > _MOST_WAITING):
            self._calls.put(call)

    def stop(self) -> None:
        self._calls.put(None)

    def join(self, seconds: float) -> None:
        if not self._thread.ident:
            return
        self._thread.join(seconds)
        if self._thread.is_alive():
            self.failure = f"has not written everything within {seconds:.0f} s"

    def begin(self, spec: TrialSpec) -> None:
        assert self._board is not None
        self._logs[spec.hash] = self._board.begin(spec)
        self._logged[spec.hash] = set()

    def log(self, spec: TrialSpec, numbers: Sequence[_Number]) -> None:
        log = self._logs.get(spec.hash)
        if log is None:
            return
        logged = self._logged[spec.hash]
        for name, value, step in numbers:
            if math.isfinite(value) and (name, step) not in logged:
                logged.add((name, step))
                log.number(name, value, step)

    def finish(self, record: TrialRecord) -> None:
        self.log(record.spec, list(_numbers(record)))
        self._logged.pop(record.spec_hash, None)
        log = self._logs.pop(record.spec_hash, None)
        if log is not None:
            log.finish(record)

    def _work(self) -> None:
        try:
            self._board = self._open()
            while (call := self._calls.get()) is not None:
                call()
            for log in self._logs.values():
                log.finish(None)
        except (Exception, SystemExit) as error:  # of a tracker: what it shows is lost there, and nowhere else
            self.failure = named_line(error)
        finally:
            if self._board is not None:
                with suppress(Exception):
                    self._board.close()


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
