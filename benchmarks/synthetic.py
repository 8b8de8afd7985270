"""Records that no model ever made, for measurements and pictures of the reports. Never a result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.distributions import Float, Scalar
from bench.core.entries import Entry
from bench.experiment.cell import Cell
from bench.experiment.settings import Evaluation, Finals, Runtime, Study, Training
from bench.runs.manifest import Manifest, Planned
from bench.runs.record import Status, TrialRecord, dump_record
from bench.runs.spec import TrialSpec

LABELS = ("abbreviation", "description", "entity", "person", "location", "number")
METHODS = (
    ("full_fine_tuning", {}, 2e-5),
    ("lora", {"rank": 8}, 1e-3),
    ("prompt_tuning-text", {"init": "text"}, 1e-2),
    ("prompt_tuning-random", {"init": "random"}, 1e-1),
    ("p_tuning", {}, 3e-3),
    ("prefix_tuning", {}, 5e-3),
    ("ia3", {}, 1e-2),
    ("hard_prompt-8-shot", {}, 1e-3),
    ("bitfit", {}, 1e-3),
    ("adapter-houlsby", {}, 1e-3),
)


def write(
    root: Path, models: int, datasets: int, methods: int, trials: int, finals: int, steps: int = 20, items: int = 60
) -> int:
    """Write a results folder of models x data sets x methods cells and return the number of records.

    Files are written without fsync, which a measurement of reading does not need.
    """
    generator = np.random.default_rng(0)
    cells = {}
    count = 0
    for m, d, k in product(range(models), range(datasets), range(methods)):
        cell, base = _cell(m, d, k), int(1e6 * 4**m)
        cells[cell.path] = Planned(trials=trials, finals=finals)
        folder = root / "records" / cell.path
        folder.mkdir(parents=True, exist_ok=True)
        for spec, score, status in _runs(cell, (m, d, k), trials, finals, generator):
            record = _record(spec, base, score, status, steps, items, generator)
            (folder / spec.filename).write_bytes(dump_record(record))
            count += 1
    experiment = {"name": root.name, "description": "Synthetic records: no model made them, they are no result."}
    Manifest(experiment=experiment, cells=cells).write(root)
    return count


def _cell(m: int, d: int, k: int) -> Cell:
    label, options, rate = METHODS[k % len(METHODS)]
    label = label if k < len(METHODS) else f"{label}-{k}"
    return Cell(
        model=Entry(name=f"made-up-{m}", label=f"made-up-{4**m}m"),
        dataset=Entry(name=f"made-up-{d}", label=f"data-{d}"),
        method=Entry(name=label, label=label, options=options),
        training=Training(),
        search={"learning_rate": Float(low=rate / 10, high=rate * 10, log=True)},
        study=Study(),
        finals=Finals(),
        evaluation=Evaluation(),
        runtime=Runtime(),
        seed=0,
        version=1,
        objective="accuracy",
    )


def _runs(
    cell: Cell, place: tuple[int, int, int], trials: int, finals: int, generator: np.random.Generator
) -> Iterator[tuple[TrialSpec, float, Status]]:
    """Yield runs with score and status; scores grow with size and fall off beside the best learning rate."""
    m, d, k = place
    rate = METHODS[k % len(METHODS)][2]
    top = 0.45 + 0.08 * m - 0.01 * d + 0.1 * math.sin(k + 1) * math.exp(-m / 4)
    best: tuple[float, dict[str, Scalar]] = (-1.0, {})
    for number in range(trials):
        chosen = rate if number == 0 else rate * 10 ** float(generator.uniform(-1, 1))
        params: dict[str, Scalar] = {"learning_rate": chosen}
        if "init" in cell.method.options:
            params["num_virtual_tokens"] = int(generator.choice([5, 10, 20, 50, 100]))
        score = _share(top - 0.15 * math.log10(chosen / rate) ** 2 + float(generator.normal(0, 0.01)))
        status: Any = "ok" if number == 0 else str(generator.choice(["ok", "pruned", "oom"], p=[0.85, 0.12, 0.03]))
        if status == "ok" and score > best[0]:
            best = (score, params)
        yield _spec(cell, "trial", number, params), score, status
    for number in range(finals):
        yield _spec(cell, "final", number, best[1]), _share(best[0] - 0.02 + float(generator.normal(0, 0.015))), "ok"


def _share(score: float) -> float:
    return round(min(0.99, max(0.01, score)), 4)


def _spec(cell: Cell, kind: Any, number: int, params: dict[str, Scalar]) -> TrialSpec:
    seed = number + 1000 * (kind == "final")
    return TrialSpec(experiment="synthetic", cell=cell, kind=kind, number=number, seed=seed, params=params)


def _record(
    spec: TrialSpec, base: int, score: float, status: Status, steps: int, items: int, generator: np.random.Generator
) -> TrialRecord:
    trained = base if spec.cell.method.name == "full_fine_tuning" else 8192
    found: dict[str, Any] = {
        "started_at": "2026-01-01T00:00:00+00:00",
        "parameters": {"total": base + 8192, "trainable": trained, "adapter_bytes": 33_000, "base": base},
        "provenance": {"git_commit": "0" * 12, "device": "cpu", "threads": 2, "versions": {"promptscale": "0.1.0"}},
        "seconds": {"load": 1.0, "train": base / 1e6, "validate": 1.0, "test": 1.0, "total": base / 1e6 + 4},
    }
    if status == "oom":
        return TrialRecord.of(spec, status=status, reason="out of memory", **found)
    loss = 3 * np.exp(-np.arange(steps) / 6) + 1 - score + generator.normal(0, 0.1, steps)
    found["train_curve"] = [
        {"step": s + 1, "loss": max(0.0, float(loss[s])), "learning_rate": 0.001, "grad_norm": 1 + s / 7, "tokens": 300}
        for s in range(steps)
    ]
    points = [(steps * part // 4, score * (0.7 + 0.075 * part)) for part in (1, 2, 3, 4)]
    found["validation_curve"] = [
        {"step": s, "metrics": {"accuracy": value, "f1_macro": 0.9 * value}, "loss": 2 - value, "perplexity": 7 - value}
        for s, value in points
    ]
    resident, live = 500 * 2**20, {"live_tensor_peak_bytes": 9 * base}
    found["memory"] = {
        phase: {"resident_peak_bytes": resident + extra * base, **(live if phase == "train" else {})}
        for phase, extra in (("load", 4), ("train", 9), ("validate", 5), ("test", 6))
    }
    found |= {"objective": score, "best_step": steps, "flops": {"train": 4.0 * base * 300 * steps}}
    found["tokens_per_second"] = {"train": 1000.0, "test": 3000.0}
    if spec.kind == "final":
        metrics = {"accuracy": score, "f1_macro": score}
        found["test"] = {"step": steps, "metrics": metrics, "loss": 1.0, "perplexity": 2.7}
        references = np.arange(items) % len(LABELS)
        right = generator.random(items) < score
        predictions = np.where(right, references, generator.integers(len(LABELS), size=items))
        found["predictions"] = {
            "ids": [f"{item:016x}" for item in range(items)],
            "references": references.tolist(),
            "predictions": predictions.tolist(),
            "labels": list(LABELS),
            "confidences": np.round(generator.uniform(0.3, 1.0, items), 4).tolist(),
        }
    return TrialRecord.of(spec, status=status, **found)
