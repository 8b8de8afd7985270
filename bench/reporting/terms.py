"""Equal terms, of records: what the cells of a report were given, and what they are seen to have used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from bench.experiment.cell import Cell
from bench.experiment.terms import EQUAL_STEPS, REPEATS, TOKENS, TRIALS, differing, of_models, unequal
from bench.reporting.cells import CellResults
from bench.runs.record import BROKEN

_ALIKE = 1.05
"""Tokens seen that differ by less than this factor are alike: other batches, or a text that was cut."""


def unequal_terms(cells: Iterable[CellResults]) -> list[str]:
    """Return one sentence for each term in which trained cells of the same data set differ."""
    return unequal(*_compared(cells))


def unequal_names(cells: Iterable[CellResults]) -> str:
    """Return the names alone of these terms, and of the models where these are not all; nothing if all are equal."""
    settings, terms, measured = _compared(cells)
    named: dict[str, dict[str, None]] = {}
    for dataset, found in differing(settings, terms, measured).items():
        for term, values in found.items():
            named.setdefault(of_models(values, dataset, settings), {})[term] = None
    return "; ".join(f"the cells{models} differ in {', '.join(names)}" for models, names in named.items())


def _compared(cells: Iterable[CellResults]) -> tuple[list[Cell], str, dict[str, dict[str, str]]]:
    trained = [cell for cell in cells if _trained(cell)]
    terms = {cell.terms for cell in trained}
    # A study that was stopped had fewer trials than planned, and those that broke say nothing of their setting. Of the
    # rows of one cell one has all of them. Until there is a final a study goes on, and nothing is compared.
    ended, repeated = Counter[str](), Counter[str]()
    for cell in trained:
        ended[cell.path] += sum(run.status not in BROKEN for run in cell.trials)
        repeated[cell.path] += sum(run.spec.kind == "repeat" for run in cell.runs)
    tested = {cell.path for cell in trained if cell.scores}
    settings = [_settings(cell) for cell in trained]
    measured: dict[str, dict[str, str]] = {}
    rivals: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for path, cell in zip((one.path for one in settings), trained, strict=True):
        measured[path] = _precision(cell)
        if cell.path in tested:
            measured[path] |= {TRIALS: f"{ended[cell.path]}", REPEATS: f"{repeated[cell.path]}"}
        # Another model cuts the same texts into other tokens: only methods of one model are held against each other.
        if seen := _tokens(cell):
            rivals.setdefault((cell.model, cell.dataset), []).append((path, seen))
    for group in rivals.values():
        numbers = [seen for _, seen in group]
        if max(numbers) > _ALIKE * min(numbers):
            for path, seen in group:
                measured[path][TOKENS] = f"{float(f'{seen:.3g}'):,.0f}"
    # Tables that were merged are one table: its cells meet on the terms that all say.
    return settings, terms.pop() if len(terms) == 1 else EQUAL_STEPS, measured


def _trained(cell: CellResults) -> bool:
    return cell.uses_model and any(
        run.train_curve or (run.parameters and run.parameters.trainable) for run in cell.runs
    )


def _settings(cell: CellResults) -> Cell:
    """Return the cell as planned, by the name that the report has for its method."""
    method = cell.settings.method.model_copy(update={"label": cell.method})
    return cell.settings.model_copy(update={"method": method})


def _precision(cell: CellResults) -> dict[str, str]:
    """Return the precision as it was run, by its term; the settings may say ``auto``."""
    ran = sorted({run.provenance.precision for run in cell.measured if run.provenance.precision})
    return {"precision": " and ".join(ran)} if ran else {}


def _tokens(cell: CellResults) -> float | None:
    """Return the real tokens that a final was trained on, on average."""
    seen: Sequence[int] = [sum(step.tokens for step in run.train_curve) for run in cell.finals if run.status == "ok"]
    return fmean(seen) if any(seen) else None
