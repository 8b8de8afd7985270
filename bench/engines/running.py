"""What every engine does with a spec once it is where it is to run."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.engines.base import lost
from bench.errors import BenchError
from bench.records import TrialRecord
from bench.spec import TrialSpec

Runner = Callable[[TrialSpec, Any, Path, int], TrialRecord]
"""Runs a spec: spec, listener of one trial, folder for a final's weights, CPU threads."""


def training_runner() -> Runner:
    """Return what runs trials in this process, keeping base model and data between them.

    Raises (the runner):
        BenchError: nothing can run here as it was asked for.
    """
    from bench.training.device import configure_threads
    from bench.training.session import Session
    from bench.training.trial import run_trial

    session = Session()

    def run(spec: TrialSpec, listener: Any, artifacts: Path, threads: int) -> TrialRecord:
        configure_threads(spec.cell.runtime, threads)
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
        return lost(spec, "error", f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
