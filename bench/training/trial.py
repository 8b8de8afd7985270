"""One trial, from spec to record: however it ends, there is a record."""

from __future__ import annotations

import gc
import math
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import torch

from bench.core.errors import BenchError, Infeasible
from bench.core.plugins import load_plugins
from bench.experiment.settings import Training
from bench.models.conversion import quiet
from bench.runs.record import Status, TrialRecord
from bench.runs.spec import TrialSpec
from bench.training.loop import Pruned
from bench.training.memory import Meters
from bench.training.provenance import provenance
from bench.training.session import Session
from bench.training.step import Diverged
from bench.training.transfer import HeadMismatch
from bench.training.trial_run import TrialListener, TrialRun, described


def run_trial(spec: TrialSpec, session: Session, listener: TrialListener, artifacts: Path | None = None) -> TrialRecord:
    """Run one trial and return its record, however it ends.

    Args:
        spec: what to run.
        session: keeps base model and data between trials.
        listener: hears of progress and may prune the trial.
        artifacts: where a final's trained weights are kept; None keeps none.

    Raises:
        BenchError: nothing can run as it was asked for, whatever the trial.
    """
    # A worker knows the built-ins and the installed packages alone.
    load_plugins([*spec.cell.plugins, *(plugin for target in spec.cell.transfer for plugin in target.plugins)])
    began = time.perf_counter()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        device, dtype = session.device(spec.cell)
    except BenchError:  # a device that is not there
        raise
    except Exception as error:  # a device that is there and broken
        return TrialRecord.of(spec, status="error", reason=described(error), started_at=started_at)
    settings, halvings = spec.training, 0
    while True:
        with Meters(device) as meters, quiet():
            run = TrialRun(spec, settings, session, listener, meters, artifacts)
            status, reason = _attempt(run)
        # Several processes cannot begin anew together once one of them has run out of memory.
        smaller = halved(settings) if status == "oom" and run.attached and session.ranks.size == 1 else None
        if smaller is None:
            break
        # The trial begins anew, with the same seed, and takes the same optimizer steps in more and smaller passes.
        settings, halvings = smaller, halvings + 1
        print(f"{spec.title}: out of memory, trying again with smaller passes ({reason})", file=sys.stderr)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    draft = run.draft
    if halvings:
        draft.notes |= {
            "halved_for_memory": halvings,
            "micro_batch_size": micro_batch(settings),
            "eval_batch_size": settings.eval_batch_size,
        }
    return draft.record(
        spec,
        status=status,
        reason=reason,
        started_at=started_at,
        seconds={**meters.seconds, "total": time.perf_counter() - began},
        memory=meters.memory(),
        provenance=provenance(device, dtype, draft.model_revision, draft.data_revision),
    )


def _attempt(run: TrialRun) -> tuple[Status, str | None]:
    """Run a trial and clean up after it; return how it ended."""
    try:
        run.execute()
    except HeadMismatch:  # whatever the trial, nothing can run as it was asked for
        raise
    except Infeasible as error:
        return "infeasible", str(error)
    except Pruned as error:
        return "pruned", str(error)
    except Diverged as error:
        return "diverged", str(error)
    except Exception as error:
        # Whatever a method or a model raises ends this trial and no other; the record says what it was.
        status: Status = "oom" if is_out_of_memory(error) else "error"
        if status == "error":
            traceback.print_exc()
        run.session.ranks.report_failure(status, described(error))
        return status, described(error)
    finally:
        if not run.clean_up() or run.session.ranks.size > 1:
            run.session.forget()
    return "ok", None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of a GPU or of the machine."""
    # On a CPU torch raises a plain RuntimeError from its allocator.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def micro_batch(settings: Training) -> int:
    """Return the examples of one forward and backward pass."""
    return math.ceil(settings.batch_size / settings.gradient_accumulation_steps)


def halved(settings: Training) -> Training | None:
    """Return settings with passes of half the size and the same batch, or None if they cannot be smaller."""
    if micro_batch(settings) == 1 and settings.eval_batch_size == 1:
        return None
    return settings.model_copy(
        update={
            "gradient_accumulation_steps": min(settings.batch_size, 2 * settings.gradient_accumulation_steps),
            "eval_batch_size": max(1, settings.eval_batch_size // 2),
        }
    )
