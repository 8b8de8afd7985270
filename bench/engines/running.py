"""What every engine does with a spec once it is where it is to run."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, named_line
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec

if TYPE_CHECKING:
    from bench.training.ranks import Ranks

Runner = Callable[[TrialSpec, Any, Path, int], TrialRecord]
"""Runs a spec: spec, listener of one trial, folder for a final's weights, CPU threads."""

ENVIRONMENT = {
    # Threads that wait spin for microseconds, then sleep (GNU OpenMP): on a machine that is busy otherwise, small
    # models become many times slower when a spinning thread keeps a working one from its core; on an idle one
    # they become twice as slow when every wait is a sleep (OMP_WAIT_POLICY=PASSIVE).
    "GOMP_SPINCOUNT": "1000",
    # Memory in large pages: a step spent an eighth of its time in page faults (glibc; elsewhere nobody reads this).
    # No MALLOC_TRIM_THRESHOLD_ beside it: any value of it ends glibc's own learning of which blocks to keep, and every
    # large tensor is then mapped anew, at a third to two thirds of a step's time.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # A log is read when something went wrong: progress bars and advice to developers would hide what.
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore::FutureWarning",
}
"""What a worker finds in its environment, unless the user has set it."""


def training_runner(ranks: Ranks | None = None) -> Runner:
    """Return what runs trials in this process, keeping base model and data between them.

    Raises (the runner):
        BenchError: nothing can run here as it was asked for.
    """
    import torch

    from bench.training.session import Session
    from bench.training.trial import run_trial

    session = Session(ranks)

    def run(spec: TrialSpec, listener: Any, artifacts: Path, threads: int) -> TrialRecord:
        torch.set_num_threads(spec.cell.runtime.threads or threads)
        return run_trial(spec, session, listener, artifacts)

    return run


def guarded(run: Runner, spec: TrialSpec, listener: Any, artifacts: Path, threads: int) -> TrialRecord:
    """Run a spec and return a record in any case: what breaks beside the trial itself is an ``error`` too.

    A method may hand back a measurement that no record can hold, such as an infinite one.
    """
    try:
        return run(spec, listener, artifacts, threads)
    except BenchError:
        raise
    except Exception as error:
        traceback.print_exc()
        return TrialRecord.of(spec, status="error", reason=named_line(error, 500))


def answered(run: Runner, spec: TrialSpec, listener: Any, artifacts: Path, threads: int) -> dict[str, Any]:
    """Run a spec and return the message that says how it ended, see `bench.engines.pool.Message`."""
    try:
        return {"record": guarded(run, spec, listener, artifacts, threads).model_dump(mode="json")}
    except BenchError as error:
        return {"refused": str(error)}
