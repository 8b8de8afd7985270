"""A method that trains nothing, and what runs it: a trial takes milliseconds and always gives the same score.

Faults of a worker are part of it: a trial looks into the round's folder for what it is to do to its own process,
and does it once.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from bench.core.distributions import Float, Int, SearchSpace
from bench.engines.processes import Processes
from bench.engines.ray_actors import Ray
from bench.engines.running import Runner
from bench.methods.base import Method
from bench.runs.record import Evaluated, TrainStep, TrialRecord
from bench.runs.spec import TrialSpec

STEPS = 4
PLAN, LOG = "worker-fault.json", "begun.log"
CURRENT = "current-round"
"""Beside the data: names the round's folder to workers, which are not told where its results are."""


class Null(Method):
    """Trains nothing; its score depends on two parameters and the seed."""

    title: ClassVar[str] = "Null"
    uses_model: ClassVar[bool] = False

    rate: float = 0.01
    size: int = 4

    def search_space(self) -> SearchSpace:
        """Return a search space of both."""
        return {"rate": Float(low=1e-4, high=1.0, log=True), "size": Int(low=1, high=16)}

    def attach(self, base: Any, dataset: Any, seed: int) -> Any:
        """Never called: `null_runner` stands in for training."""
        raise NotImplementedError


class NullProcesses(Processes):
    """The processes engine, with workers that do not load torch."""

    runner: ClassVar[str] = "benchmarks.faults.null:null_runner"


class NullRay(Ray):
    """The ray engine, with actors that do not load torch."""

    runner: ClassVar[str] = "benchmarks.faults.null:null_runner"


def null_runner() -> Runner:
    """Return what runs a trial, in the round whose folder stands in `CURRENT`."""

    def run(spec: TrialSpec, listener: Any, artifacts: Path, threads: int) -> TrialRecord:
        current = Path(spec.cell.dataset.options["path"]).with_name(CURRENT)
        return run_null(spec, listener, Path(current.read_text()))

    return run


def score(spec: TrialSpec, step: int) -> float:
    """Return a validation score that is the same wherever and whenever it is computed."""
    options = spec.method_options
    distance = abs(math.log10(options["rate"]) + 1.5) + abs(options["size"] - 9) / 8
    return round((1 - distance / 4 + (spec.seed % 97) / 970) * (1 - 0.5**step), 9)


def run_null(spec: TrialSpec, listener: Any, home: Path, steps: int = STEPS, pause: float = 0.004) -> TrialRecord:
    """Run one trial; every trial 3 diverges and every trial 4 of a cell 'walls' finds no memory, in every run."""
    with (home / LOG).open("a") as log:
        log.write(f"{spec.hash}\n")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    train, validation = [], []
    status, reason = "ok", None
    for step in range(1, steps + 1):
        time.sleep(pause)
        _misbehave(home, spec, step, listener)
        if spec.kind == "trial" and spec.cell.method.label == "walls" and step == 2 and spec.number in (3, 4):
            status = "diverged" if spec.number == 3 else "oom"
            reason = "loss is nan at step 2" if spec.number == 3 else "MemoryError: no room at step 2"
            break
        listener.progress(step, steps, 1.0 / step)
        train.append(TrainStep(step=step, loss=1.0 / step, learning_rate=0.1, grad_norm=1.0, tokens=10))
        value = score(spec, step)
        validation.append(Evaluated(step=step, metrics={spec.cell.objective: value}, loss=1.0, perplexity=math.e))
        if step < steps and not listener.validated(step, value):
            status, reason = "pruned", f"by the study after step {step}"
            break
    if _leaked(home, spec):
        return TrialRecord.of(
            spec, status="oom", reason="MemoryError: an earlier trial of this worker has left no room"
        )
    return TrialRecord.of(
        spec,
        status=status,
        reason=reason,
        started_at=started,
        seconds={"train": 0.01, "total": 0.02},
        objective=validation[-1].metrics[spec.cell.objective] if validation else None,
        best_step=validation[-1].step if validation else None,
        train_curve=train,
        validation_curve=validation,
        test=validation[-1] if spec.kind == "final" and status == "ok" else None,
    )


def _misbehave(home: Path, spec: TrialSpec, step: int, listener: Any) -> None:
    """Do what the round asks this trial to do to its own process, once."""
    plan = home / PLAN
    if not plan.exists():
        return
    wanted = json.loads(plan.read_text())
    if (spec.title, step) != (wanted["title"], wanted["step"]):
        return
    try:
        (home / "did-it").touch(exist_ok=False)
    except FileExistsError:
        return
    if wanted["do"] == "orphan":
        subprocess.Popen(["sleep", "987"], cwd=home)
    if wanted["do"] in ("die", "orphan"):
        os.kill(os.getpid(), signal.SIGKILL)
    elif wanted["do"] == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif wanted["do"] == "exit":
        os._exit(3)
    elif wanted["do"] == "garbage":
        listener._out.write('{"record": {"half": ')
        listener._out.flush()
        os._exit(0)
    elif wanted["do"] == "leak":
        global _LEAKED
        _LEAKED = True


_LEAKED = False


def _leaked(home: Path, spec: TrialSpec) -> bool:
    """Whether a trial before this one, in this process, has taken all memory."""
    plan = home / PLAN
    return _LEAKED and spec.title != json.loads(plan.read_text())["title"]
