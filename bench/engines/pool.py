"""What engines with long-lived workers share: who takes a trial, what a worker's messages mean, when time is up."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from bench.core.errors import BadInput
from bench.engines.base import Listener, Pool
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec

Message = dict[str, Any]
"""What a worker says: ``{"begun": true}``, ``{"alive": true}`` every now and then if the trial gets on, ``{"progress":
[step, steps, loss]}``, ``{"validated": [step, value]}`` (it then waits for the answer), ``{"record": record}``, and
``{"refused": reason}`` for a spec that cannot run here at all."""


class Worker(ABC):
    """A worker, wherever it is, as the driver sees it. It keeps its base model resident between trials."""

    start_seconds: ClassVar[float] = math.inf
    """Silence that it is granted at its start, whatever the trial says; without an end: it may be in a queue."""

    def __init__(self) -> None:
        self.spec: TrialSpec | None = None
        """The trial that it has, or is to have."""
        self.artifacts = Path()
        self.model: Any = None
        self.began: float | None = None
        """When it first spoke of its trial; None before that."""
        self.heard = 0.0
        """When it last gave a sign of progress."""
        self.placed = False
        """Whether it has ever given one; before that it starts, or waits for a place on a cluster."""
        self.trials = 0
        """Trials that have ended in it."""

    def begin(self, spec: TrialSpec, artifacts: Path) -> None:
        """Give it a trial."""
        self.spec, self.model, self.artifacts, self.began = spec, spec.cell.model, artifacts, None
        self.heard = time.monotonic()
        self.send(spec, artifacts)

    @abstractmethod
    def send(self, spec: TrialSpec, artifacts: Path) -> None:
        """Send a trial to where the worker is."""

    @abstractmethod
    def answer(self, keep_going: bool) -> None:
        """Send the verdict on a validation."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once, with everything that it has started."""

    @abstractmethod
    def how_it_ended(self) -> str:
        """Say how it ended."""

    def record(self, message: Message) -> TrialRecord:
        """Return the record that a message carries."""
        return TrialRecord.model_validate(message["record"])


W = TypeVar("W", bound=Worker)


class WorkerPool(Pool, Generic[W]):
    """N places, each with a worker once it was needed; one that dies is replaced and loses its trial alone."""

    def __init__(self, workers: int, listener: Listener) -> None:
        self._listener = listener
        self._workers: list[W | None] = [None] * workers
        self._unheard: deque[tuple[W, Message | None]] = deque()
        self._left = time.monotonic()

    @abstractmethod
    def _new_worker(self, index: int) -> W:
        """Return a new worker for a place."""

    @abstractmethod
    def _news(self, timeout: float) -> Iterable[tuple[W, Message | None]]:
        """Return what workers have said, None for the end of one; wait up to ``timeout`` for the first."""

    def free(self) -> int:
        """Return the number of places without a trial."""
        return sum(worker is None or worker.spec is None for worker in self._workers)

    def submit(self, spec: TrialSpec, artifacts: Path) -> None:
        """Give a spec to an idle worker, one that has the base model already if there is one."""
        idle = [i for i, worker in enumerate(self._workers) if worker is None or worker.spec is None]

        def loaded(index: int) -> int:
            worker = self._workers[index]
            return 1 if worker is None else 0 if worker.model == spec.cell.model else 2

        index = min(idle, key=loaded)
        worker = self._workers[index] = self._workers[index] or self._new_worker(index)
        worker.begin(spec, artifacts)

    def poll(self, timeout: float) -> list[TrialRecord]:
        """Handle what workers say until something ends or the time is over."""
        now = time.monotonic()
        for worker in self._started():
            worker.heard += now - self._left  # silence counts only while the driver polls
        try:
            return self._listen(now + timeout)
        finally:
            self._left = time.monotonic()

    def close(self) -> None:
        """Kill all workers with everything they started."""
        for worker in self._started():
            self._drop(worker)

    def _started(self) -> list[W]:
        return [worker for worker in self._workers if worker is not None]

    def _listen(self, deadline: float) -> list[TrialRecord]:
        if late := self._overdue():
            return late
        while True:
            if not self._unheard:
                self._unheard.extend(self._news(max(0.0, deadline - time.monotonic())))
            if not self._unheard:
                return self._overdue()
            # One at a time: Ctrl-C, noticed upon the next message, must not cost a record that is in hand.
            worker, message = self._unheard.popleft()
            if worker in self._workers and (record := self._handle(worker, message)) is not None:
                return [record]

    def _handle(self, worker: W, message: Message | None) -> TrialRecord | None:
        """Act upon a message; return a record if it has ended a trial."""
        spec = worker.spec
        if message is None:
            return self._died(worker)
        worker.heard, worker.placed = time.monotonic(), True
        if spec is None:
            return None
        if "alive" not in message:
            worker.began = worker.began or worker.heard
        if "progress" in message:
            self._listener.progress(spec, *message["progress"])
        elif "validated" in message:
            worker.answer(self._listener.validated(spec, *message["validated"]))
        elif "refused" in message:
            worker.spec = None
            raise BadInput(message["refused"])
        elif "record" in message:
            worker.spec = None
            return self._ended(worker, worker.record(message))
        return None

    def _died(self, worker: W) -> TrialRecord | None:
        spec, unseen = worker.spec, worker.began is None and worker.trials > 0
        self._drop(worker)
        if spec is None:
            return None  # the next trial is not to wait for it
        if unseen:  # it died while it was idle, and this trial has not reached it
            self.submit(spec, worker.artifacts)
            return None
        return TrialRecord.of(spec, status="killed", reason=worker.how_it_ended())

    def _ended(self, worker: W, record: TrialRecord) -> TrialRecord | None:
        """Return a record, unless its trial may have suffered from what ran in the worker before it."""
        worker.trials += 1
        if record.status in ("oom", "error"):
            place = self._drop(worker)  # what such an end leaves in memory is not known
            if record.status == "oom" and worker.trials > 1:
                fresh = self._workers[place] = self._new_worker(place)
                fresh.begin(record.spec, worker.artifacts)
                return None
        return record

    def _overdue(self) -> list[TrialRecord]:
        """Kill workers that take too long or get no further, and return the records of their trials."""
        ended, now = [], time.monotonic()
        for worker in self._started():
            spec = worker.spec
            if spec is None:
                continue
            granted = 0.0 if worker.placed else worker.start_seconds
            limit, silence = spec.cell.runtime.trial_timeout, spec.cell.runtime.hang_timeout
            if limit is not None and worker.began is not None and now - worker.began > limit:
                status, why = "timeout", f"stopped after {limit:g} s (runtime.trial_timeout)"
            elif silence is not None and now - worker.heard > max(silence, granted):
                status, why = "killed", f"it hung: no step and no batch for {silence:g} s (runtime.hang_timeout)"
            else:
                continue
            self._drop(worker)
            ended.append(TrialRecord.of(spec, status=status, reason=why))
        return ended

    def _drop(self, worker: W) -> int:
        """End a worker and return its place, which is free now."""
        place = self._workers.index(worker)
        self._workers[place] = None
        worker.spec = None
        worker.kill()
        return place
