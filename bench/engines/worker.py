"""A worker process: takes specs as JSON lines on stdin, gives progress and records as JSON lines on stdout.

Messages in: ``{"run": spec, "artifacts": path, "threads": n}`` and ``{"keep_going": bool}``, the
answer to a validation. Messages out: see `bench.engines.pool.Message`. JSON, not pickle: nothing that arrives can run
code.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from bench.core.heartbeat import Pulse, beat
from bench.core.registry import load_target
from bench.engines.running import Runner, answered
from bench.runs.spec import TrialSpec

PROGRESS_SECONDS = 0.2
"""At most one progress message in this time."""
BEAT_SECONDS = 2.0
"""A sign of life in this time."""


class Channel:
    """The worker's end of the pipes."""

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch
        # Whatever a library prints goes to the log; the real stdout carries messages alone.
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._last_progress = 0.0
        self._pulse = Pulse()
        threading.Thread(target=self._read, daemon=True).start()

    def receive(self) -> dict[str, Any]:
        """Wait for the next message."""
        message = self._inbox.get()
        if "run" in message:
            self._pulse.begin()
        return message

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        line = json.dumps(message, allow_nan=False) + "\n"
        with self._sending:
            self._out.write(line)
            self._out.flush()

    def beat(self) -> None:
        """Tell again and again that the trial gets on, if it does."""
        while True:
            if self._pulse.alive():
                self.send({"alive": True})
            time.sleep(BEAT_SECONDS)

    def progress(self, step: int, steps: int, loss: float) -> None:
        """Tell of an optimizer step, but not too often."""
        beat()
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = now
            self.send({"progress": [step, steps, loss]})

    def validated(self, step: int, value: float) -> bool:
        """Tell of a validation score and wait for the study's verdict."""
        beat()
        self.send({"validated": [step, value]})
        return bool(self.receive()["keep_going"])

    def _read(self) -> None:
        try:
            for line in sys.stdin:
                self._inbox.put(json.loads(line))
        finally:  # the driver is gone, in the middle of a line perhaps: do not outlive it, nor leave anything behind
            shutil.rmtree(self._scratch, ignore_errors=True)
            os._exit(1)


def serve(scratch: str, make_runner: Callable[[], Runner]) -> None:
    """Serve until the driver closes the pipe.

    Args:
        scratch: folder for temporary files.
        make_runner: makes what runs a spec; called once the pipes are in order, for it may print and take long.
    """
    channel = Channel(scratch)
    threading.Thread(target=channel.beat, daemon=True).start()
    run = make_runner()
    while True:
        message = channel.receive()
        channel.send({"begun": True})
        spec = TrialSpec.model_validate(message["run"])
        channel.send(answered(run, spec, channel, Path(message["artifacts"]), message["threads"]))


if __name__ == "__main__":
    serve(sys.argv[1], load_target(sys.argv[2]))
