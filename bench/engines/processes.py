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
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, ClassVar

from bench.engines.base import Engine, Listener, Pool, cores, lost
from bench.engines.gpus import visible_gpus
from bench.errors import BadInput
from bench.records import TrialRecord
from bench.spec import TrialSpec

_ENVIRONMENT = {
    # Threads that wait spin for microseconds, then sleep (GNU OpenMP): on a machine that is busy otherwise, small
    # models become many times slower when a spinning thread keeps a working one from its core; on an idle one
    # they become twice as slow when every wait is a sleep (OMP_WAIT_POLICY=PASSIVE).
    "GOMP_SPINCOUNT": "1000",
    # Memory that a step has freed serves the next one, in large pages: a step spent an eighth of its time in
    # page faults (glibc; elsewhere nobody reads these).
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # A log is read when something went wrong: progress bars and advice to developers would hide what.
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore::FutureWarning",
}
"""What a worker finds in its environment, unless the user has set it."""


class Processes(Engine):
    """Runs trials in N long-lived processes of this machine; a dead one is replaced and loses its trial alone."""

    module: ClassVar[str] = "bench.engines.worker"
    """What a worker process runs: ``python -m <module> <scratch folder>``."""

    def start(self, listener: Listener) -> Pool:
        """Return a pool; workers start when they are first needed."""
        return ProcessPool(self.workers, self.log_folder, listener, self.module)


class ProcessPool(Pool):
    """N slots, each with a worker process once it was needed."""

    def __init__(self, workers: int, log_folder: Path | None, listener: Listener, module: str) -> None:
        self._listener = listener
        self._module = module
        self._gpus = visible_gpus()
        self._events: queue.SimpleQueue[tuple[Worker, dict[str, Any] | None]] = queue.SimpleQueue()
        # The same number for each, even if cores are left over: a sum over more threads has other last bits, and
        # what a trial computes must not depend on which worker runs it.
        self._threads = max(1, cores() // workers)
        self._log_folder = log_folder
        self._workers: list[Worker | None] = [None] * workers

    def free(self) -> int:
        """Return the number of slots without a trial."""
        return sum(worker is None or worker.spec is None for worker in self._workers)

    def submit(self, spec: TrialSpec, artifacts: Path) -> None:
        """Give a spec to an idle worker, one that has the base model already if there is one."""
        idle = [i for i, worker in enumerate(self._workers) if worker is None or worker.spec is None]

        def warmth(index: int) -> int:
            worker = self._workers[index]
            if worker is None:
                return 1
            return 0 if worker.model == spec.cell.model else 2

        index = min(idle, key=warmth)
        worker = self._workers[index]
        if worker is None:
            gpu = self._gpus[index % len(self._gpus)] if self._gpus else None
            worker = self._workers[index] = Worker(index, self._log_folder, self._events, self._module, gpu)
        worker.run(spec, artifacts, self._threads)

    def poll(self, timeout: float) -> list[TrialRecord]:
        """Handle what workers say until something ends or the time is over."""
        deadline = time.monotonic() + timeout
        finished = self._overdue()
        while not finished:
            try:
                worker, message = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            record = self._handle(worker, message)
            if record is not None:
                finished.append(record)
        return finished

    def cancel(self, spec: TrialSpec) -> None:
        """Kill the worker that runs ``spec``."""
        for worker in self._workers:
            if worker is not None and worker.spec == spec:
                self._drop(worker)

    def close(self) -> None:
        """Kill all workers with everything they started."""
        for worker in self._workers:
            if worker is not None:
                self._drop(worker)

    def _handle(self, worker: Worker, message: dict[str, Any] | None) -> TrialRecord | None:
        if worker not in self._workers:
            return None  # the last words of a worker that was dropped
        if worker.spec is None:
            if message is None:
                self._drop(worker)  # it died while it was idle: the next trial is not to wait for it
            return None
        spec = worker.spec
        worker.heard = time.monotonic()
        if message is None:
            self._drop(worker)
            return lost(spec, "killed", worker.obituary())
        if "progress" in message:
            step, steps, loss = message["progress"]
            self._listener.progress(spec, step, steps, loss)
        elif "validated" in message:
            step, value = message["validated"]
            worker.send({"keep_going": self._listener.validated(spec, step, value)})
        elif "refused" in message:
            worker.spec = None
            raise BadInput(message["refused"])
        elif "record" in message:
            worker.spec = None
            return self._ended(worker, TrialRecord.model_validate(message["record"]))
        return None

    def _ended(self, worker: Worker, record: TrialRecord) -> TrialRecord | None:
        """Return a record, unless its trial may have suffered from what ran in the worker before it."""
        worker.trials += 1
        if record.status in ("oom", "error"):
            self._drop(worker)  # nobody knows what such an end leaves in memory
        if record.status == "oom" and worker.trials > 1:
            self.submit(record.spec, worker.artifacts)
            return None
        return record

    def _overdue(self) -> list[TrialRecord]:
        ended = []
        for worker in self._workers:
            if worker is None or worker.spec is None:
                continue
            spec, now = worker.spec, time.monotonic()
            limit, silence = spec.cell.runtime.trial_timeout, spec.cell.runtime.hang_timeout
            if limit is not None and now - worker.began > limit:
                self._drop(worker)
                ended.append(lost(spec, "timeout", f"stopped after {limit:g} s (runtime.trial_timeout)"))
            elif silence is not None and now - worker.heard > silence and self._events.empty():
                self._drop(worker)
                why = f"the worker hung: no sign of life for {silence:g} s (runtime.hang_timeout)"
                ended.append(lost(spec, "killed", why))
        return ended

    def _drop(self, worker: Worker) -> None:
        self._workers[self._workers.index(worker)] = None
        worker.kill()


class Worker:
    """One worker process in a process group of its own, so that Ctrl-C reaches the driver alone."""

    def __init__(
        self,
        index: int,
        log_folder: Path | None,
        events: queue.SimpleQueue[tuple[Worker, dict[str, Any] | None]],
        module: str,
        gpu: str | None,
    ) -> None:
        self.spec: TrialSpec | None = None
        self.model: Any = None
        self.artifacts = Path()
        self.began = self.heard = 0.0
        self.trials = 0
        """Trials that have ended in this process."""
        self._command = [sys.executable, "-m", module]
        self._gpu = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        self._log = None if log_folder is None else log_folder / f"worker-{index}.log"
        # A worker that is killed cannot clean up; what it had in here goes with it.
        self._scratch = tempfile.TemporaryDirectory(prefix="bench-worker-", ignore_cleanup_errors=True)
        self._process = self._start()
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def _start(self) -> subprocess.Popen[str]:
        errors: int | IO[str] = subprocess.DEVNULL
        if self._log is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            errors = self._log.open("a", encoding="utf-8")
        try:
            return subprocess.Popen(
                [*self._command, self._scratch.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                start_new_session=True,
                env={**_ENVIRONMENT, **os.environ, **self._gpu, "TMPDIR": self._scratch.name},
            )
        finally:
            if not isinstance(errors, int):
                errors.close()

    def run(self, spec: TrialSpec, artifacts: Path, threads: int) -> None:
        """Begin a trial."""
        self.spec, self.model, self.artifacts = spec, spec.cell.model, artifacts
        self.began = self.heard = time.monotonic()
        self.send({"run": spec.model_dump(mode="json"), "artifacts": str(artifacts.absolute()), "threads": threads})

    def send(self, message: dict[str, Any]) -> None:
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

    def obituary(self) -> str:
        """Say how the process ended, with the last line of its log."""
        code = self._process.wait()
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += " (did the machine run out of memory?)"
        last = ""
        if self._log is not None and self._log.exists():
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = f"; its last words: {lines[-1][:300]}" if lines else ""
        return f"the worker process ended with {how}{last}"

    def _listen(self, events: queue.SimpleQueue[tuple[Worker, dict[str, Any] | None]]) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError):  # a worker that is killed may leave half a line
            for line in self._process.stdout:
                events.put((self, json.loads(line)))
        events.put((self, None))
