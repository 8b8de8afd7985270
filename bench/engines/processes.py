"""The processes engine: long-lived worker processes on this machine, each keeping its base model resident."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from bench.engines.base import Engine, Listener, Pool, cores
from bench.engines.pool import Message, Worker, WorkerPool
from bench.engines.running import ENVIRONMENT
from bench.runs.spec import TrialSpec

Events = queue.SimpleQueue[tuple["ProcessWorker", Message | None]]
"""What all workers of a pool have said; None is the end of one."""


class Processes(Engine):
    """Runs trials in N long-lived processes of this machine; a dead one is replaced and loses its trial alone."""

    on_this_machine: ClassVar[bool] = True
    module: ClassVar[str] = "bench.engines.worker"
    """What a worker process is: ``python -m <module> <scratch folder> <runner>``."""

    def start(self, listener: Listener) -> Pool:
        """Return a pool; workers start when they are first needed."""
        return ProcessPool(self, listener)


class ProcessPool(WorkerPool["ProcessWorker"]):
    """N slots, each with a worker process once it was needed."""

    def __init__(self, engine: Processes, listener: Listener) -> None:
        super().__init__(engine.workers, listener)
        self._command = [sys.executable, "-m", engine.module]
        self._runner = engine.runner
        self._gpus = visible_gpus()
        self._events: Events = queue.SimpleQueue()
        # The same number for each, even if cores are left over: a sum over more threads has other last bits, and
        # what a trial computes must not depend on which worker runs it.
        self._threads = max(1, cores() // engine.workers)
        self._log_folder = engine.log_folder

    def _new_worker(self, index: int) -> ProcessWorker:
        gpu = self._gpus[index % len(self._gpus)] if self._gpus else None
        log = None if self._log_folder is None else self._log_folder / f"worker-{index}.log"
        return ProcessWorker(self._command, self._runner, self._threads, log, self._events, gpu)

    def _news(self, timeout: float) -> list[tuple[ProcessWorker, Message | None]]:
        with suppress(queue.Empty):
            return [self._events.get(timeout=timeout)]
        return []


class ProcessWorker(Worker):
    """One worker process in a process group of its own, so that Ctrl-C reaches the driver alone."""

    start_seconds = 60.0

    def __init__(
        self, command: list[str], runner: str, threads: int, log: Path | None, events: Events, gpu: str | None
    ) -> None:
        super().__init__()
        self._threads = threads
        own = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        self._log = log or Path(os.devnull)
        # A worker that is killed cannot clean up; what it had in here goes with it.
        self._scratch = tempfile.TemporaryDirectory(prefix="bench-worker-", ignore_cleanup_errors=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [*command, self._scratch.name, runner],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                start_new_session=True,
                env={**ENVIRONMENT, **os.environ, **own, "TMPDIR": self._scratch.name},
            )
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def send(self, spec: TrialSpec, artifacts: Path) -> None:
        """Send a trial; its time counts from when the worker says that it has begun."""
        what = {"run": spec.model_dump(mode="json"), "artifacts": str(artifacts.absolute()), "threads": self._threads}
        self._say(what)

    def answer(self, keep_going: bool) -> None:
        """Send the verdict on a validation."""
        self._say({"keep_going": keep_going})

    def _say(self, message: Message) -> None:
        """Send one message; a worker that is gone is noticed by its listener."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """Kill the process and everything it started, and wait for it."""
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):  # what was not sent yet cannot be sent any more
            self._process.stdin.close()
        self._scratch.cleanup()

    def how_it_ended(self) -> str:
        """Say how the process ended, with the last line of its log."""
        code = self._process.wait()
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += " (did the machine run out of memory?)"
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        lines = text.strip().splitlines()
        last = f"; last line of its log: {lines[-1][:300]}" if lines else ""
        return f"the worker process ended with {how}{last}"

    def _listen(self, events: Events) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError):  # a worker that is killed may leave half a line
            for line in self._process.stdout:
                if line.startswith("{"):  # else a launcher has printed something, before there was a worker
                    events.put((self, json.loads(line)))
        events.put((self, None))


def visible_gpus() -> list[str]:
    """Return the names by which CUDA_VISIBLE_DEVICES chooses a GPU; none where there is no NVIDIA driver.

    It loads no torch into the driver. A list that the user has set is kept to: workers are spread over those alone.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [part.strip() for part in given.split(",") if part.strip() not in ("", "-1")]
    try:
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()
