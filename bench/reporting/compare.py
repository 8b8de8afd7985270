"""What changed between two results: cell by cell, with intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.reporting.cells import REVISIONS, CellResults
from bench.reporting.folders import Results
from bench.reporting.statistics.verdict import Difference, difference


@dataclass(frozen=True)
class Change:
    """A cell that both results have, by its labels."""

    before: CellResults
    after: CellResults
    gap: float | None
    """Mean after minus mean before; None where one has no score on test."""
    between: Difference
    """The same over seeds and test items, with its interval and verdict."""
    unlike: tuple[str, ...]
    """What differs besides the score: settings, git commit, model or data revision."""


@dataclass(frozen=True)
class Comparison:
    """Two results held against each other."""

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def compare(before: Results, after: Results) -> Comparison:
    """Match the cells of two results by model, data set and method."""
    ours, theirs = _by_labels(before.cells), _by_labels(after.cells)
    shared = [labels for labels in ours if labels in theirs]
    return Comparison(
        tuple(_change(ours[labels], theirs[labels]) for labels in shared),
        tuple(cell.title for labels, cell in ours.items() if labels not in theirs),
        tuple(cell.title for labels, cell in theirs.items() if labels not in ours),
    )


def _change(before: CellResults, after: CellResults) -> Change:
    gap = None if before.mean is None or after.mean is None else after.mean - before.mean
    between = difference(after.answers, before.answers, after.bounds)
    return Change(before, after, gap, between, _unlike(before, after))


def _by_labels(cells: Iterable[CellResults]) -> dict[tuple[str, ...], CellResults]:
    return {(*cell.labels, cell.metric): cell for cell in cells}


def _unlike(before: CellResults, after: CellResults) -> tuple[str, ...]:
    """Name what is not the same in both; None is not known and so not different."""
    found = []
    if before.runs[0].cell_path != after.runs[0].cell_path:
        found.append("settings")
    for field, name in REVISIONS.items():
        one, other = ({getattr(run.provenance, field) for run in cell.runs} - {None} for cell in (before, after))
        if one and other and one != other:
            found.append(name)
    return tuple(found)
