"""What a Slurm job runs: a worker that takes trials from a mailbox until it is told to stop or has nothing to do."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench.core.errors import BenchError
from bench.core.registry import load_target
from bench.engines.mailbox import Receiving, Sending, Watched, read_json, write_json
from bench.engines.running import Runner, guarded
from bench.engines.worker import BEAT_SECONDS
from bench.runs.spec import TrialSpec

LOOK_SECONDS = 0.2
"""How often the mailbox is looked into."""


class Job:
    """The function that submitit pickles: text and numbers, and where its class is found.

    Args:
        box: the worker's mailbox, see `bench.engines.mailbox`; ``driver`` beside it shows that the driver lives.
        finished: folder for records of runs that have ended, by hash.
        runner: what makes what runs a spec, as ``module:attribute``.
        threads: CPU threads.
        minutes: time limit of the job.
        patience: seconds without a sign of the driver, or without anything to do, after which the job ends.
    """

    def __init__(
        self, box: str, finished: str, runner: str, threads: int, minutes: float, patience: tuple[float, float]
    ) -> None:
        self.given = (box, finished, runner, threads, minutes, patience)
        self.interrupted: Callable[[], None] = _nothing

    def __call__(self) -> None:
        """Serve; submitit keeps what is returned, so nothing is."""
        try:
            Serving(self).serve()
        finally:
            end_children()

    def checkpoint(self) -> Any:
        """Return what the job is to run when it has been queued again: submitit asks when its time is over.

        By then a signal has come: Slurm wants the node for somebody else (preemption), or the time limit is near.
        """
        from submitit.helpers import DelayedSubmission

        self.interrupted()
        return DelayedSubmission(Job(*self.given))


def _nothing() -> None:
    pass


def end_children() -> None:
    """Kill whatever this process has started."""
    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue


class Serving:
    """The worker's end of its mailbox; hears trials as their listener."""

    def __init__(self, job: Job) -> None:
        box, finished, runner, self._threads, minutes, (self._driver_timeout, self._idle_timeout) = job.given
        self._box, self._finished = Path(box), Path(finished)
        self._make_runner = load_target(runner)
        self._ends = time.monotonic() + _seconds_left(minutes)
        lives = len(list(self._box.glob("life-*")))
        self._life = self._box / f"life-{lives}"
        self._inbox, self._outbox = Receiving(self._life / "in"), Sending(self._life / "out")
        self._arrived: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._beats = 0
        self._trials = 0
        self._progress: list[Any] | None = None
        self._told = 0.0
        self._sending = threading.RLock()
        self._lost = False
        job.interrupted = self._interrupt

    def serve(self) -> None:
        """Run what comes until nothing has come for a while."""
        self._beat()
        threading.Thread(target=self._watch, daemon=True).start()
        run: Runner | None = None
        while True:
            try:
                message = self._arrived.get(timeout=self._idle_timeout)
            except queue.Empty:
                return self._say({"bye": True})
            spec = TrialSpec.model_validate(message["run"])
            self._trials, self._progress = self._trials + 1, None
            self._say({"begun": True})
            try:
                run = run or self._make_runner()
                record = guarded(run, spec, self, Path(message["artifacts"]), self._threads)
            except BenchError as error:
                self._say({"refused": str(error)})
                continue
            if self._lost:  # what was raised by the signal is no result
                return None
            # Where any driver finds it: this one may be dead by now, and the next one asks for the same run.
            data = record.model_dump(mode="json")
            write_json(self._finished / f"{spec.hash}.json", data)
            self._say({"record": data})

    def progress(self, step: int, steps: int, loss: float) -> None:
        """Tell of an optimizer step, with the next sign of life; of the first one at once."""
        first, self._progress = self._progress is None, [step, steps, loss]
        if first or time.monotonic() - self._told > BEAT_SECONDS:
            self._beat()

    def validated(self, step: int, value: float) -> bool:
        """Tell of a validation score and wait for the study's verdict."""
        self._say({"validated": [step, value]})
        return bool(self._arrived.get()["keep_going"])

    def _say(self, message: dict[str, Any]) -> None:
        with self._sending:
            self._outbox.send(message)

    def _beat(self) -> None:
        with self._sending:
            self._beats += 1
            self._told = time.monotonic()
            left = self._ends - self._told
            state = {"beat": self._beats, "left": left, "trial": self._trials, "progress": self._progress}
            write_json(self._life / "beat", state)

    def _interrupt(self) -> None:
        self._lost = True
        self._say({"interrupted": True})

    def _watch(self) -> None:
        """End the process when the driver is gone or wants it so, or nobody knows any more."""
        try:
            print(f"the worker ends: {self._keep_up()}", file=sys.stderr, flush=True)
        finally:
            end_children()
            os._exit(1)

    def _keep_up(self) -> str:
        """Take in what comes and give signs of life, until there is a reason to end."""
        session = self._box.parent
        driver = Watched(session / "driver")
        while True:
            message = self._inbox.receive()
            if message is not None:
                self._arrived.put(message)
                continue
            if time.monotonic() - self._told > BEAT_SECONDS:
                self._beat()
                driver.look()
            if (self._box / "stop").exists() or (session / "stop").exists():
                return "it was told to"
            if read_json(session / "driver") is None:
                return "its driver has gone"
            if driver.silent > self._driver_timeout:
                return f"no sign of its driver for {self._driver_timeout:g} s"
            time.sleep(LOOK_SECONDS)


def _seconds_left(minutes: float) -> float:
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    return float(end) - time.time() if end.isdigit() else 60 * minutes
