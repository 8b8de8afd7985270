"""What jobs of submitit's local executor lack and Slurm's have: their own signals, and an end that spares nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


def end_local_job(job_id: str, folder: Path) -> None:
    """Kill all that is left of a job of this machine: Slurm would, submitit's local executor leaves it.

    A process that a dead worker had started is nobody's child any more; it is known by what is in its environment.

    Args:
        job_id: process id of what controls the job.
        folder: where submitit keeps its files: another folder may have had a job of that id.
    """
    for process in psutil.process_iter(["environ"]):
        environment = process.info["environ"] or {}
        ours = str(folder) in environment.get("SUBMITIT_LOCAL_COMMAND", "")
        if ours and job_id in (str(process.pid), environment.get("SUBMITIT_LOCAL_JOB_ID")):
            with suppress(psutil.NoSuchProcess):
                process.kill()


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started meanwhile never hear Ctrl-C, which is the driver's: it ends them by other means.

    Those of submitit's local executor are in the driver's process group, and would print a traceback each. The
    driver itself hears it a moment later.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
