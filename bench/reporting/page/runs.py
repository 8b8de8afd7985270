"""Every run with its curve, and samples of what was predicted or written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core.grouping import grouped
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.columns import params_text
from bench.reporting.figures.curves import thinned
from bench.runs.record import Text, TrialRecord

MOST_RUNS = 2000
"""More rows than that make a page that no phone opens; runs.csv has them all."""
_WIDTH, _HEIGHT = 96, 24
_SAMPLES = 4
_ITEMS, _METHODS, _LONGEST = 8, 2, 1_000


def run_rows(cells: Sequence[CellResults]) -> tuple[list[dict[str, Any]], int]:
    """Return what the page shows of the runs of all cells, and how many were left out: too many for a page.

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


def _row(cell: CellResults, run: TrialRecord, selected: bool) -> dict[str, Any]:
    metric = cell.metric
    losses = thinned([(point.step, point.loss) for point in run.train_curve], 48)
    scores = [(point.step, point.metrics[metric]) for point in run.validation_curve if metric in point.metrics]
    last = max((step for step, _ in [*losses, *scores]), default=0)
    return {
        "cell": cell,
        "record": run,
        "selected": selected,  # the best trial of its cell, or a final of its configuration
        "test": run.test.metrics.get(metric) if run.test else None,
        "seconds": run.seconds.get("total"),
        "params": params_text(run.spec.params),
        "loss": _polyline(losses, last),
        "score": _polyline(scores, last),
        "reason": text.one_line(run.reason or ""),
    }


def _polyline(curve: Sequence[tuple[int, float]], last: int) -> str:
    """Return the points of a curve in its box, scaled to its own lowest and highest value; empty if there is none."""
    if len(curve) < 2 or not last:
        return ""
    values = [value for _, value in curve]
    low, span = min(values), (max(values) - min(values)) or 1.0
    return " ".join(
        f"{1 + (_WIDTH - 2) * step / last:.1f},{_HEIGHT - 2 - (_HEIGHT - 4) * (value - low) / span:.1f}"
        for step, value in curve
    )


def samples(cells: Sequence[CellResults]) -> list[dict[str, Any]]:
    """Return predictions, right and wrong, of the method with the highest mean of each model on each data set."""
    best: dict[tuple[str, str], CellResults] = {}
    for cell in cells:
        if cell.mean is not None and any(run.status == "ok" and run.predictions for run in cell.finals):
            old = best.get((cell.dataset, cell.model), cell)
            best[cell.dataset, cell.model] = min(old, cell, key=lambda one: one.rank_key)
    return [_samples(cell) for cell in best.values()]


def _samples(cell: CellResults) -> dict[str, Any]:
    """Return item, true label, predicted label and confidence; texts are not in the records, their hashes are."""
    answers = next(run.predictions for run in cell.finals if run.status == "ok" and run.predictions)
    confidences: Sequence[float | None] = answers.confidences or [None] * len(answers.ids)
    sides: dict[bool, list[tuple[str, str, str, float | None]]] = {True: [], False: []}
    for item, right, chosen, confidence in zip(
        answers.ids, answers.references, answers.predictions, confidences, strict=True
    ):
        if len(side := sides[right == chosen]) < _SAMPLES:
            named = (text.one_line(answers.labels[label], 40) for label in (right, chosen))
            side.append((text.one_line(item, 24), *named, confidence))  # type: ignore[arg-type]
    return {"title": cell.title, "right": sides[True], "wrong": sides[False]}


def written_samples(cells: Sequence[CellResults]) -> list[dict[str, Any]]:
    """Return the answers of the two methods with the best means of each model on each data set."""
    scored = [cell for cell in cells if cell.mean is not None and _texts(cell)]
    best_first = sorted(scored, key=lambda cell: cell.rank_key)
    groups = grouped(best_first, lambda cell: (cell.dataset, cell.model))
    return [_side_by_side(group[:_METHODS]) for group in groups.values()]


def _side_by_side(cells: Sequence[CellResults]) -> dict[str, Any]:
    kept = [_texts(cell) for cell in cells]
    shared = [item for item in kept[0] if all(item in texts for texts in kept)][:_ITEMS]
    return {
        "title": f"{cells[0].model} / {cells[0].dataset}",
        "methods": [cell.method for cell in cells],
        "items": [
            {
                "question": text.visible(kept[0][item].question, _LONGEST),
                "references": [text.visible(one, _LONGEST) for one in kept[0][item].references],
                "answers": [text.visible(texts[item].answer, _LONGEST) for texts in kept],
            }
            for item in shared
        ],
    }


def _texts(cell: CellResults) -> dict[str, Text]:
    """Return the texts of a cell's first final that keeps them, by the item's id."""
    kept = (run.answers for run in cell.finals if run.status == "ok" and run.answers and run.answers.texts)
    first = next(kept, None)
    return {} if first is None else dict(zip(first.ids, first.texts, strict=True))
