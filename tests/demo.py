"""A small experiment and an engine that only pretends to train: for tests of what stands around a trial."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.api import Plan, plan
from bench.core.config import deep_merge
from bench.driver.driver import Driver
from bench.driver.watcher import Watcher
from bench.engines.base import Engine, Listener, Pool
from bench.experiment.cell import Cell
from bench.runs.record import Evaluated, TrainStep, TrialRecord
from bench.runs.spec import TrialSpec

EXPERIMENT: dict[str, Any] = {
    "name": "demo",
    "models": ["glasslm-0.9m"],
    "datasets": ["trec6"],
    "methods": ["prompt_tuning"],
    "study": {"trials": 6, "pruner": "none"},
    "finals": {"seeds": 2},
}
STARTED = "2026-01-01T00:00:00+00:00"


def demo_plan(results: Path | str = "results/demo", **changes: Any) -> Plan:
    return plan(deep_merge(EXPERIMENT, changes), results)


def nested_plan(tmp_path: Path, **study: Any) -> Plan:
    """Return a plan of two nested folds with three trials each."""
    rows = "\n".join(f"text {n},{'xy'[n % 2]}" for n in range(20))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}\n")
    local = {"local": {"path": str(tmp_path / "t.csv"), "folds": 2, "nested": True}}
    return demo_plan(tmp_path / "r", datasets=[local], study={"trials": 3, **study})


def demo_cell(**changes: Any) -> Cell:
    return demo_plan(**changes).cells[0]


def demo_spec(cell: Cell | None = None, number: int = 0, kind: str = "trial", **params: Any) -> TrialSpec:
    return TrialSpec(
        experiment="demo", cell=cell or demo_cell(), kind=kind, number=number, seed=100 + number, params=params
    )


def score(spec: TrialSpec) -> float:
    """Prefer a learning rate of 0.1, and more virtual tokens a little."""
    rate, tokens = spec.params.get("learning_rate", 0.03), spec.params.get("num_virtual_tokens", 20)
    return 1 - abs(math.log10(rate or 1e-9) + 1) + tokens / 1000


def ended(spec: TrialSpec, **values: Any) -> TrialRecord:
    """Return the record of a run that went well, unless ``values`` say otherwise."""
    curve = [Evaluated(step=step, metrics={spec.cell.objective: score(spec) * step / 2}) for step in (1, 2)]
    good = {"objective": score(spec), "best_step": 2, "test": curve[-1] if spec.kind == "final" else None}
    status = values.get("status", "ok")
    defaults = {"status": "ok", "started_at": STARTED, "validation_curve": curve, "seconds": {"total": 1.0}}
    return TrialRecord.of(spec, **{**defaults, **(good if status == "ok" else {}), **values})


def with_curve(spec: TrialSpec) -> TrialRecord:
    """Return the record of a run that went well and has a training curve."""
    steps = [TrainStep(step=n, loss=1.0 / n, learning_rate=0.1, grad_norm=1.0, tokens=9) for n in (1, 2)]
    return ended(spec, train_curve=steps)


class Warned(Watcher):
    """Keeps the warnings that it hears."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


class Strict(Watcher):
    """Takes no warning."""

    def warn(self, text: str) -> None:
        raise AssertionError(text)


class Pretend(Engine):
    """Runs ``play`` for each spec; a watcher of tests sees in ``specs`` what was asked for."""

    play: Callable[[TrialSpec], TrialRecord] = ended
    stop_after: int | None = None
    """Ctrl-C once so many runs have ended."""
    specs: list[TrialSpec] = []

    def start(self, listener: Listener) -> Pool:
        return PretendPool(self, listener)


class PretendPool(Pool):
    def __init__(self, engine: Pretend, listener: Listener) -> None:
        self._engine, self._listener = engine, listener
        self._waiting: list[TrialSpec] = []

    def free(self) -> int:
        return self._engine.workers - len(self._waiting)

    def submit(self, spec: TrialSpec, artifacts: Path) -> None:
        if self._engine.stop_after == len(self._engine.specs):
            raise KeyboardInterrupt
        self._engine.specs.append(spec)
        self._waiting.append(spec)

    def poll(self, timeout: float) -> list[TrialRecord]:
        spec = self._waiting.pop(0)
        record = self._engine.play(spec)
        for evaluated in record.validation_curve:
            self._listener.validated(spec, evaluated.step, evaluated.metrics[spec.cell.objective])
        return [record]

    def close(self) -> None:
        self._waiting.clear()


def drive(
    planned: Plan, engine: Pretend | None = None, watcher: Watcher | None = None, retry_failed: bool = False
) -> Pretend:
    """Run a plan by an engine that pretends, and return the engine."""
    engine = engine or Pretend(specs=[])
    parts = (planned.manifest, planned.cells, planned.results, engine, watcher or Watcher())
    with Driver(*parts, planned.storage, retry_failed) as driver:
        driver.run()
    return engine


def asked(engine: Pretend) -> list[tuple[str, int, int, str]]:
    """Return what an engine was asked for, comparable between runs."""
    return [(spec.kind, spec.number, spec.seed, str(sorted(spec.params.items()))) for spec in engine.specs]
