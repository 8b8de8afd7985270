"""The pool of the slurm engine: places, each with a job, and the driver's view of a job."""

from __future__ import annotations

import io
import math
import re
import secrets
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.errors import BadInput
from bench.engines.base import Listener, lost
from bench.engines.mailbox import Receiving, Sending, Watched, read_json, write_json
from bench.engines.pool import Message, PolledPool, Worker
from bench.engines.slurm_job import Job
from bench.engines.slurm_local import deaf_to_interrupts, end_local_job
from bench.engines.worker import BEAT_SECONDS
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec

if TYPE_CHECKING:
    from bench.engines.slurm import Slurm

MARGIN_SECONDS = 120
"""A job takes no trial that may last until so close to its time limit: Slurm's warning comes 90 s before it."""
GRACE_SECONDS = 2.0
"""What a job has written may be seen so much later than its end."""
SILENCE_SECONDS = 10.0
"""After this silence of a job that ran Slurm is asked about it, and again after as long."""
QUEUE_SECONDS = 60.0
"""The same for jobs that wait in the queue, and how often jobs are submitted again that Slurm has refused."""
REFUSED_SECONDS = 1800.0
"""So long Slurm may refuse jobs once it has taken some: its controller restarts, or a limit of the user is reached."""
STOP_SECONDS = 10.0
"""How long jobs that were told to end are waited for."""
LOCAL_STOP_SECONDS = 3.0
"""The same for a job of this machine, before it is killed."""


@dataclass
class Waiting:
    """A trial that no job has taken yet."""

    spec: TrialSpec
    artifacts: Path
    fresh: bool = False
    """Only for a job that has run nothing yet."""


class SlurmPool(PolledPool["SlurmWorker"]):
    """N places, each with a job once it was needed. A trial goes to whichever job comes out of the queue first."""

    look_seconds: ClassVar[float] = 0.25

    def __init__(self, engine: Slurm, listener: Listener, folder: Path, executor: Any) -> None:
        super().__init__(engine.workers, listener)
        self._engine, self._folder, self._executor = engine, folder, executor
        self._session = folder / "sessions" / secrets.token_hex(6)
        self._finished = folder / "finished"
        self._waiting: deque[Waiting] = deque()
        self._found: list[TrialRecord] = []
        self._handed: list[Path] = []
        self._hires = 0
        self._longest = 0.0
        self._called = self._again = 0.0
        self._refused: float | None = None
        """Since when Slurm refuses jobs."""
        self._all: list[SlurmWorker] = []
        self._closed = threading.Event()
        write_json(self._session / "driver", {"beat": 0})
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def free(self) -> int:
        """Return how many trials can be submitted now."""
        running = sum(worker.spec is not None for worker in self._hired())
        return len(self._workers) - running - len(self._waiting) - len(self._found)

    def submit(self, spec: TrialSpec, artifacts: Path) -> None:
        """Let a spec wait for a job; one that a job of an earlier driver has run to its end comes back at once."""
        if (record := self._read_finished(spec)) is not None:
            self._found.append(record)
        else:
            self._waiting.append(Waiting(spec, artifacts))

    def poll(self, timeout: float) -> list[TrialRecord]:
        """Wait for the end of a trial."""
        while self._handed:  # the driver has written them by now
            self._handed.pop().unlink(missing_ok=True)
        if not self._found:
            return super().poll(timeout)
        found = self._found.pop(0)
        self._handed.append(self._finished_path(found.spec))
        for evaluated in found.validation_curve:  # as it would have been heard
            self._listener.validated(found.spec, evaluated.step, evaluated.metrics[found.spec.cell.objective])
        return [found]

    def cancel(self, spec: TrialSpec) -> None:
        """Forget a spec, or cancel the job that runs it."""
        self._waiting = deque(item for item in self._waiting if item.spec != spec)
        super().cancel(spec)

    def close(self) -> None:
        """Cancel all jobs, and wait a moment for them to end."""
        self._closed.set()
        write_json(self._session / "stop", {})
        super().close()
        wait_for(self._all_gone, STOP_SECONDS)
        remove_pickles(self._folder)
        self._heart.join()
        for path in self._handed:
            path.unlink(missing_ok=True)
        shutil.rmtree(self._session, ignore_errors=True)

    def _all_gone(self) -> bool:
        self._call_the_roll(self._all, 1.0)
        return all(worker.ended() for worker in self._all)

    def _beat(self) -> None:
        beats = 0
        while not self._closed.wait(BEAT_SECONDS):
            beats += 1
            with suppress(OSError):  # a disk that is full now may have room for the next
                write_json(self._session / "driver", {"beat": beats})

    def _look_after(self) -> None:
        """Give what waits to jobs that run, and submit as many jobs as more are needed: as an array."""
        silent = [worker for worker in self._hired() if worker.silent > SILENCE_SECONDS]
        self._call_the_roll(silent, SILENCE_SECONDS if any(worker.placed for worker in silent) else QUEUE_SECONDS)
        for item in list(self._waiting):
            able = [w for w in self._hired() if w.spec is None and w.placed and not (item.fresh and w.trials)]
            for worker in [w for w in able if w.left < self._needed(item.spec)]:
                if worker.trials:  # what a new job has no time for, no other would have
                    able.remove(worker)
                    self._drop(worker)
            if able:
                self._waiting.remove(item)
                min(able, key=lambda w: w.model != item.spec.cell.model).begin(item.spec, item.artifacts)
        queued = sum(worker.spec is None and not worker.placed for worker in self._hired())
        places = [place for place, worker in enumerate(self._workers) if worker is None]
        wanted = places[: max(0, len(self._waiting) - queued)]
        if wanted and time.monotonic() >= self._again:
            for place, worker in zip(wanted, self._submit_jobs(len(wanted)), strict=False):
                self._workers[place] = worker

    def _call_the_roll(self, workers: list[SlurmWorker], every: float) -> None:
        """Find out which jobs are gone or wait again; by ``squeue``, for not every Slurm has what ``sacct`` needs."""
        if self._engine.cluster == "local" or not workers or time.monotonic() - self._called < every:
            return
        self._called = time.monotonic()
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i %t"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            states = dict(line.split() for line in asked.stdout.splitlines())
            for worker in workers:
                state = states.get(worker.job.job_id)
                worker.gone, worker.queued_again = state is None, state == "PD" and worker.placed

    def _needed(self, spec: TrialSpec) -> float:
        """Return the seconds that a job should have left for a trial."""
        limit = spec.cell.runtime.trial_timeout
        return MARGIN_SECONDS + (limit if limit is not None else 1.5 * self._longest)

    def _submit_jobs(self, number: int) -> list[SlurmWorker]:
        """Submit jobs; none are returned if they are to be submitted again later."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        longest = self._waiting[0].spec.cell.runtime.trial_timeout
        limits = self._engine.limits(longest)
        boxes = [self._session / f"job-{self._hires + n}" for n in range(number)]
        self._hires += number
        patience = (self._engine.driver_timeout, self._engine.idle_timeout)
        what = (str(self._finished), self._engine.runner, self._engine.cpus_per_task, limits["timeout_min"], patience)
        for box in boxes:
            box.mkdir(parents=True)
        try:
            self._executor.update_parameters(**limits)
            with redirect_stderr(io.StringIO()), deaf_to_interrupts():  # submitit prints what it raises
                jobs = self._executor.submit_array([Job(str(box), *what) for box in boxes])
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            now = time.monotonic()
            self._refused = self._refused or now
            if not self._all or now - self._refused >= REFUSED_SECONDS:
                raise BadInput(f"Slurm refuses the jobs: {' '.join(str(error).split())[:500]}") from error
            self._again = now + QUEUE_SECONDS
            return []
        self._refused = None
        workers = [SlurmWorker(box, job, self._engine.cluster) for box, job in zip(boxes, jobs, strict=True)]
        self._all = [*(w for w in self._all if w in self._workers or not w.ended()), *workers]
        write_json(self._session / "jobs", [worker.job.job_id for worker in self._all])
        return workers

    def _hire(self, index: int) -> SlurmWorker:
        raise AssertionError("jobs are submitted together, in _look_after")

    def _submit_fresh(self, place: int, spec: TrialSpec, artifacts: Path) -> None:
        self._handed.remove(self._finished_path(spec))
        self._finished_path(spec).unlink(missing_ok=True)  # now: the next one has this name too
        self._waiting.appendleft(Waiting(spec, artifacts, fresh=True))

    def _ask(self, worker: SlurmWorker) -> list[Message | None]:
        over = worker.over()
        return worker.news() or ([None] if over else [])

    def _handle(self, worker: SlurmWorker, message: Message | None) -> TrialRecord | None:
        spec = worker.spec
        if message is not None and "interrupted" in message:
            worker.rest()
            why = f"Slurm stopped job {worker.job.job_id} (preemption, its time limit, or a node that failed)"
            return None if spec is None else lost(spec, "killed", f"{why}; it is queued again")
        if message is not None and "record" in message and spec is not None and worker.began is not None:
            self._longest = max(self._longest, time.monotonic() - worker.began)
            self._handed.append(self._finished_path(spec))
        if message is not None and "bye" in message:
            message = None
        if message is None and spec is None and not worker.lives and self._waiting:
            # It has not even begun; whatever waits longest pays for it, or jobs would be submitted for ever.
            self._drop(worker)
            return lost(self._waiting.popleft().spec, "killed", worker.obituary())
        return super()._handle(worker, message)

    def _finished_path(self, spec: TrialSpec) -> Path:
        return self._finished / f"{spec.hash}.json"

    def _read_finished(self, spec: TrialSpec) -> TrialRecord | None:
        data = read_json(self._finished_path(spec))
        if data is None:
            return None
        record = TrialRecord.model_validate(data)
        # The same run: labels and budgets may be others by now.
        return record.model_copy(update={"spec": spec, "cell_path": spec.cell.path})


class SlurmWorker(Worker):
    """The driver's view of one job."""

    def __init__(self, box: Path, job: Any, cluster: str) -> None:
        super().__init__()
        self.job = job
        self._local = cluster == "local"
        self.lives = 0
        """How often the job has begun: again, when it was queued again."""
        self._box = box
        self.gone = False
        """Whether Slurm knows it no more."""
        self.queued_again = False
        """Whether it has run and waits in the queue now, unable to say so."""
        self._over_since: float | None = None
        self._ends: float | None = None
        self._resting = False
        self._open()

    def _open(self) -> None:
        life = self._box / f"life-{max(0, self.lives - 1)}"
        self._sent = 0
        self._inbox, self._outbox = Receiving(life / "out"), Sending(life / "in")
        self._beat, self._next = Watched(life / "beat"), self._box / f"life-{self.lives}" / "beat"

    @property
    def left(self) -> float:
        """Seconds until the job's time limit, as it said."""
        return math.inf if self._ends is None else self._ends - time.monotonic()

    def rest(self) -> None:
        """The job waits in the queue again: nothing is left of what it had."""
        self.spec, self.model, self.began, self.placed, self.trials, self._ends = None, None, None, False, 0, None
        self._resting = True  # a last sign of the life that is over is none of the next

    def send(self, spec: TrialSpec, artifacts: Path) -> None:
        """Put a trial into its mailbox."""
        self._sent += 1
        self._outbox.send({"run": spec.model_dump(mode="json"), "artifacts": str(artifacts.absolute())})

    def answer(self, keep_going: bool) -> None:
        """Send the verdict on a validation."""
        self._outbox.send({"keep_going": keep_going})

    def news(self) -> list[Message | None]:
        """Return what has come since the last time; never waits."""
        news: list[Message | None] = []
        if read_json(self._next) is not None:
            self.queued_again = bool(self.lives) and self.placed
            self.lives += 1
            self._resting = False
            self._open()
        if self.queued_again:
            self.queued_again = False
            news.append({"interrupted": True})
        if not self._resting and (beat := self._beat.look()) is not None:
            self._ends = time.monotonic() + beat["left"]
            news.append({"alive": True})
            if beat["trial"] == self._sent and beat["progress"] is not None:
                news.append({"progress": beat["progress"]})
        while (message := self._inbox.receive()) is not None:
            news.append(message)
        return news

    @property
    def silent(self) -> float:
        """Seconds since it gave a sign of life, or was submitted."""
        return self._beat.silent

    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.gone or self.job.paths.result_pickle.exists() or (self._local and self.job.done())

    def over(self) -> bool:
        """Whether the job has ended, and all that it has written can be seen."""
        if self._over_since is None and self.ended():
            self._over_since = time.monotonic()
        return self._over_since is not None and time.monotonic() - self._over_since > GRACE_SECONDS

    def kill(self) -> None:
        """Cancel the job. A job that still runs sees the file at once, whatever Slurm does in the meantime."""
        if not self.ended():
            write_json(self._box / "stop", {})
            if self._local:
                wait_for(self.ended, LOCAL_STOP_SECONDS)
            else:
                self.job.cancel(check=False)
        if self._local:
            end_local_job(self.job.job_id, self.job.paths.folder)

    def obituary(self) -> str:
        """Say how the job ended, with the last line of its log."""
        log = self.job.paths.stderr
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
        last = f"; its last words: {lines[-1][:300]}" if lines else ""
        return f"Slurm job {self.job.job_id} ended{self._state()}{last}"

    def _state(self) -> str:
        """Return what Slurm remembers of the end of the job, for some minutes."""
        if self._local:
            return ""
        command = ["scontrol", "show", "job", "--oneliner", self.job.job_id]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found = re.findall(r"\b(?:JobState|Reason|ExitCode)=(\S+)", said)
        return f" ({', '.join(found[:3])})" if found else ""


def remove_pickles(folder: Path) -> None:
    """Remove what submitit has pickled, once all jobs have ended; logs stay."""
    for path in folder.glob("*.pkl"):
        path.unlink(missing_ok=True)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds, but no longer than this; return whether it does."""
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds
