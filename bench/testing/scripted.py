"""Scripted trials: they do what a test asks for, and train nothing. Needs neither torch nor pytest."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from bench.core.distributions import Scalar
from bench.core.entries import Entry
from bench.core.errors import BadInput
from bench.core.heartbeat import beat
from bench.engines.running import Runner
from bench.experiment.cell import Cell
from bench.experiment.settings import Evaluation, Finals, Runtime, Study, Training
from bench.runs.record import Evaluated, TrialRecord
from bench.runs.spec import TrialSpec

STEPS = 3
"""Each ends with a validation."""


def scripted_spec(home: Path, number: int, do: str = "nothing", kind: Any = "trial", **options: Any) -> TrialSpec:
    """Return the spec of a scripted trial.

    Args:
        home: where each execution leaves a mark.
        number: of the trial; unique in a folder.
        do: ``nothing``, ``die`` (the first time, ``after`` seconds), ``stop`` (the process), ``wait`` (until it is
            ended), ``pause`` (for ``seconds``, with signs of progress), ``leak`` (out of memory unless alone in its
            process), ``fail``, ``refuse``.
        kind: ``trial``, or ``final``, which keeps a file.
        options: of `Runtime`; ``after`` and ``seconds`` as above.
    """
    params: dict[str, Scalar] = {name: options.pop(name) for name in ("after", "seconds") if name in options}
    cell = Cell(
        model=None,
        dataset=Entry(name="scripted", label="scripted"),
        method=Entry(name="scripted", label="scripted"),
        training=Training(),
        search={},
        study=Study(),
        finals=Finals(),
        evaluation=Evaluation(),
        runtime=Runtime(**options),
        seed=0,
        version=1,
        objective="accuracy",
    )
    asked: dict[str, Scalar] = {"home": str(home), "do": do, **params}
    return TrialSpec(experiment="scripted", cell=cell, kind=kind, number=number, seed=number, params=asked)


def executions(home: Path, spec: TrialSpec) -> list[list[int]]:
    """Return for each execution of a trial the ids of its process and of the process that it has started, if any."""
    marks = sorted(home.glob(f"{spec.kind}-{spec.number}-*.begun"))
    return [[int(pid) for pid in mark.read_text().split()] for mark in marks]


def scripted_runner() -> Runner:
    """Return what runs these specs; one a process, like the real one."""
    ran: list[int] = []

    def run(spec: TrialSpec, listener: Any, artifacts: Path, threads: int) -> TrialRecord:
        ran.append(spec.number)
        first = not executions(Path(str(spec.params["home"])), spec)
        _leave_mark(spec)
        status, reason, curve = "ok", None, []
        for step in range(1, STEPS + 1):
            listener.progress(step, STEPS, 1.0 / step)
            if step == 2 and (end := _act(spec, first, alone=len(ran) == 1)) is not None:
                return end
            value = spec.number + step / 10
            curve.append(Evaluated(step=step, metrics={spec.cell.objective: value}))
            if step < STEPS and not listener.validated(step, value):
                status, reason = "pruned", f"by the study after step {step}"
                break
        if spec.kind == "final":
            artifacts.mkdir(parents=True, exist_ok=True)
            (artifacts / "adapter.safetensors").write_bytes(str(spec.seed).encode())
            (artifacts / "encoder").mkdir(exist_ok=True)  # as p-tuning leaves it
            (artifacts / "encoder" / "more.safetensors").write_bytes(str(spec.seed).encode())
        return TrialRecord.of(
            spec,
            status=status,
            reason=reason,
            validation_curve=curve,
            objective=curve[-1].metrics[spec.cell.objective],
            best_step=curve[-1].step,
        )

    return run


def _leave_mark(spec: TrialSpec) -> None:
    pids = [os.getpid()]
    if spec.params["do"] == "wait":  # whoever ends it has to end what it has started, too
        pids.append(subprocess.Popen(["sleep", "600"]).pid)
    mark = Path(str(spec.params["home"])) / f"{spec.kind}-{spec.number}-{secrets.token_hex(4)}"
    mark.write_text(" ".join(map(str, pids)))
    mark.rename(mark.with_suffix(".begun"))  # nobody reads half a mark


def _act(spec: TrialSpec, first: bool, alone: bool) -> TrialRecord | None:
    do = spec.params["do"]
    if do == "die" and first:
        after = float(str(spec.params["after"]))
        threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(60)
    if do == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if do == "wait":
        time.sleep(600)
    if do == "pause":
        until = time.monotonic() + float(str(spec.params["seconds"]))
        while time.monotonic() < until:
            beat()
            time.sleep(0.1)
    if do == "leak" and not alone:
        return TrialRecord.of(spec, status="oom", reason="MemoryError: no room")
    if do == "fail":
        raise RuntimeError("as asked for")
    if do == "refuse":
        raise BadInput("runtime.device: there is none")
    return None
