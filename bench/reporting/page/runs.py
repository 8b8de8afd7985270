"""Every run with its curve, and samples of what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.columns import params_text
from bench.reporting.figures.curves import thinned
from bench.runs.record import TrialRecord

MOST_RUNS = 2000
"""More rows than that make a page that no phone opens; runs.csv has them all."""
_WIDTH, _HEIGHT = 96, 24
_SAMPLES = 4


@dataclass(frozen=True)
class RunRow:
    """A run, as the page shows it."""

    model: str
    dataset: str
    method: str
    kind: str
    number: int
    status: str
    selected: bool
    """Whether it is the best trial of its cell, or a final of its configuration."""
    validation: float | None
    test: float | None
    seconds: float | None
    params: str
    loss: str
    """Points of the polyline of the training loss, in a box of 96 x 24; empty if there is none."""
    score: str
    """Points of the polyline of the validation score."""
    reason: str


@dataclass(frozen=True)
class Sample:
    """A prediction on the test split; texts are not in the records, their hashes are."""

    item: str
    reference: str
    prediction: str
    confidence: float | None


@dataclass(frozen=True)
class Samples:
    """Predictions of the best cell of a model, right and wrong."""

    title: str
    right: list[Sample]
    wrong: list[Sample]


def run_rows(cells: Sequence[CellResults]) -> tuple[list[RunRow], int]:
    """Return the runs of all cells, and how many were left out because they are too many for a page.

    Where they are, the runs that count (best trials and their finals) come first, then the others in
    the order of their cells.
    """
    runs = [(cell, run) for cell in cells for run in sorted(cell.runs, key=_order)]
    chosen = {id(run) for cell in cells for run in [*cell.best_trials.values(), *cell.finals]}
    kept = {id(run) for run in sorted((run for _, run in runs), key=lambda run: id(run) not in chosen)[:MOST_RUNS]}
    rows = [_row(cell, run, id(run) in chosen) for cell, run in runs if id(run) in kept]
    return rows, len(runs) - len(rows)


def _order(run: TrialRecord) -> tuple[bool, int]:
    return (run.spec.kind == "final", run.spec.number)


def _row(cell: CellResults, run: TrialRecord, selected: bool) -> RunRow:
    metric = cell.metric
    losses = thinned([(point.step, point.loss) for point in run.train_curve], 48)
    scores = [(point.step, point.metrics[metric]) for point in run.validation_curve if metric in point.metrics]
    last = max((step for step, _ in [*losses, *scores]), default=0)
    return RunRow(
        model=cell.model,
        dataset=cell.dataset,
        method=cell.method,
        kind=run.spec.kind,
        number=run.spec.number,
        status=run.status,
        selected=selected,
        validation=run.objective,
        test=run.test.metrics.get(metric) if run.test else None,
        seconds=run.seconds.get("total"),
        params=params_text(run.spec.params),
        loss=_polyline(losses, last),
        score=_polyline(scores, last),
        reason=text.one_line(run.reason or ""),
    )


def _polyline(curve: Sequence[tuple[int, float]], last: int) -> str:
    """Return the points of a curve in its box, scaled to its own lowest and highest value."""
    if len(curve) < 2 or not last:
        return ""
    values = [value for _, value in curve]
    low, span = min(values), (max(values) - min(values)) or 1.0
    return " ".join(
        f"{1 + (_WIDTH - 2) * step / last:.1f},{_HEIGHT - 2 - (_HEIGHT - 4) * (value - low) / span:.1f}"
        for step, value in curve
    )


def samples(cells: Sequence[CellResults]) -> list[Samples]:
    """Return predictions, right and wrong, of the method with the highest mean of each model on each data set."""
    best: dict[tuple[str, str], CellResults] = {}
    for cell in cells:
        if cell.mean is None or not any(run.predictions for run in cell.finals):
            continue
        old = best.get((cell.dataset, cell.model))
        if old is None or cell.rank_key < old.rank_key:
            best[cell.dataset, cell.model] = cell
    return [found for cell in best.values() if (found := _samples(cell))]


def _samples(cell: CellResults) -> Samples | None:
    answers = next((run.predictions for run in cell.finals if run.status == "ok" and run.predictions), None)
    if answers is None:
        return None
    right: list[Sample] = []
    wrong: list[Sample] = []
    confidences: Sequence[float | None] = answers.confidences or [None] * len(answers.ids)
    for item, reference, prediction, confidence in zip(
        answers.ids, answers.references, answers.predictions, confidences, strict=True
    ):
        side = right if reference == prediction else wrong
        if len(side) < _SAMPLES:
            side.append(
                Sample(
                    text.one_line(item, 24),
                    text.one_line(answers.labels[reference], 40),
                    text.one_line(answers.labels[prediction], 40),
                    confidence,
                )
            )
    return Samples(cell.title, right, wrong)
