"""Records for the tests of the reports: cells and runs with everything that a table asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.entries import Entry
from bench.experiment.cell import Cell, Target
from bench.experiment.settings import Evaluation, Finals, Runtime, Study, Training
from bench.reporting.folders import Results
from bench.reporting.grouping import group_cells
from bench.reporting.page import html_page
from bench.reporting.references import References
from bench.reporting.report import report_text, write_report
from bench.reporting.table import summarise_cells
from bench.runs.manifest import Manifest, Planned
from bench.runs.record import Evaluated, Parameters, PhaseMemory, Predictions, Provenance, TransferTest, TrialRecord
from bench.runs.spec import TrialSpec
from bench.runs.store import RecordStore

MIB = 2**20


def cell(model: str | None = "tiny", dataset: str = "trec6", method: str = "lora", **values: Any) -> Cell:
    """A cell by its labels; ``options`` are the method's."""
    options = values.pop("options", {})
    defaults: dict[str, Any] = {
        "training": Training(),
        "search": {},
        "study": Study(),
        "finals": Finals(),
        "evaluation": Evaluation(),
        "runtime": Runtime(),
        "seed": 0,
        "version": 1,
        "objective": "accuracy",
    }
    return Cell(
        model=Entry(name=model, label=model) if model else None,
        dataset=Entry(name=dataset, label=dataset),
        method=Entry(name=method, label=method, options=options),
        **{**defaults, **values},
    )


def run(
    of: Cell,
    number: int = 0,
    kind: str = "trial",
    score: float | None = 0.5,
    params: dict[str, Any] | None = None,
    base: int | None = 1_000_000,
    **values: Any,
) -> TrialRecord:
    """A run of a cell; ``score`` is on validation for a trial, on test for a final."""
    seed = values.pop("seed", 1000 * (kind == "final") + number)
    params = {"learning_rate": 0.01} if params is None else params
    spec = TrialSpec(experiment="demo", cell=of, kind=kind, number=number, seed=seed, params=params)
    good = values.get("status", "ok") in ("ok", "pruned")
    defaults: dict[str, Any] = {"status": "ok", "started_at": "2026-11-01T10:00:00Z"}
    if good and score is not None:
        evaluated = Evaluated(step=20, metrics={of.objective: score}, loss=0.7, perplexity=2.0)
        defaults |= {"objective": score, "best_step": 20, "validation_curve": [evaluated]}
        if kind == "final":
            defaults["test"] = evaluated
    if good:
        count = base if of.model else None
        defaults |= {
            "parameters": Parameters(
                total=(base or 0) + 8192, trainable=8192, with_gradient=8192, adapter_bytes=33_000, base=count
            ),
            "memory": {"train": PhaseMemory(live_tensor_peak_bytes=10 * MIB, resident_peak_bytes=500 * MIB)},
            "seconds": {"train": 65.0, "total": 80.0},
            "tokens_per_second": {"train": 1234.5},
            "provenance": Provenance(
                versions={"torch": "2.13.0"},
                git_commit="a" * 40,
                model_revision="m" * 40,
                data_revision="d" * 64,
                device="cpu",
                threads=2,
            ),
        }
    return TrialRecord.of(spec, **{**defaults, **values})


def answered(right: int, items: int, seed: int = 0) -> Predictions:
    """Answers to a test split of two labels: the first ``right`` items, moved on a little by each seed, are right."""
    references = [item % 2 for item in range(items)]
    good = {(item + 3 * seed) % items for item in range(right)}
    predictions = [one if item in good else 1 - one for item, one in enumerate(references)]
    return Predictions(
        ids=[f"item-{item}" for item in range(items)], references=references, predictions=predictions, labels=["a", "b"]
    )


def study(
    of: Cell, scores: Sequence[float], validation: float = 0.6, items: int | None = None, **values: Any
) -> list[TrialRecord]:
    """One good trial and a final for each test score; with ``items``, accuracies of answers to so many of them."""
    kept = [
        {} if items is None else {"predictions": answered(round(s * items), items, n)} for n, s in enumerate(scores)
    ]
    finals = [run(of, number, "final", score, **values, **kept[number]) for number, score in enumerate(scores)]
    return [run(of, 0, score=validation, **values), *finals]


def majority(right: int = 50, items: int = 100, dataset: str = "trec6") -> list[TrialRecord]:
    """The majority class, which has so many of the test items right; they are those of `answered` where half are."""
    references = [item % 2 if 2 * right == items else int(item >= right) for item in range(items)]
    names = [f"item-{item}" for item in range(items)]
    answers = Predictions(ids=names, references=references, predictions=[0] * items, labels=["a", "b"])
    return study(cell(None, dataset, "majority", stochastic=False), [right / items], predictions=answers)


def target(dataset: str, metric: str = "accuracy", greater_is_better: bool = True) -> Target:
    """A data set that finals are tested on too."""
    entry = Entry(name=dataset, label=dataset)
    return Target(dataset=entry, objective=metric, greater_is_better=greater_is_better)


def scored_there(score: float | None, metric: str = "accuracy", reason: str | None = None) -> TransferTest:
    """A test there; without a score for ``reason``."""
    test = None if score is None else Evaluated(step=0, metrics={metric: score, "other": 0.1}, loss=0.9)
    return TransferTest(test=test, items=40, labels=["yes", "no"], data_revision="d" * 64, reason=reason)


def write_results(
    root: Path,
    records: Iterable[TrialRecord],
    current: Iterable[str] | None = None,
    experiment: dict[str, Any] | None = None,
) -> Path:
    """Write a results folder as the driver does; ``current`` are the paths of the cells that count (all)."""
    records = list(records)
    store = RecordStore(root)
    for record in records:
        store.write(record)
    paths = sorted({record.cell_path for record in records}) if current is None else list(current)
    identities = {record.cell_path: record.spec.cell.identity for record in records}
    finals = {path: [r for r in records if r.cell_path == path and r.spec.kind == "final"] for path in paths}
    manifest = Manifest(
        experiment={"name": "demo", "description": "A demo.", **(experiment or {})},
        file="experiments/demo.yaml",
        cells={
            path: Planned(
                trials=1,
                finals=max([2, *(r.spec.number + 1 for r in finals[path])]),
                splits=next((r.spec.cell.finals.splits for r in finals[path]), "fixed"),
                identity=identities.get(path),
            )
            for path in paths
        },
    )
    manifest.write(root)
    return root


def summarise(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """The table of some records."""
    return summarise_cells(group_cells(records))


def report_text_of(results: Results) -> str:
    """The report of some results, in Markdown."""
    return report_text(results, summarise_cells(results.cells))


def write_report_of(results: Results, out: Path, references: Sequence[References] = ()) -> Path:
    """The report of some results, written; returns the path of ``report.md``."""
    return write_report(results, out, references=references)


def page_of(results: Results) -> str:
    """The page of some results."""
    return html_page(results, summarise_cells(results.cells))
