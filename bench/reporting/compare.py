"""What changed between two results: cell by cell, with intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.reporting.cells import REVISIONS, CellResults
from bench.reporting.folders import Results
from bench.reporting.statistics.verdict import Difference, differences

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A cell that both results have, by its labels."""

    before: CellResults
    after: CellResults
    between: Difference
    """Mean after minus mean before over seeds and test items, with its interval and verdict; corrected for all methods
    that are compared on the same model, data set and metric."""

    @property
    def gap(self) -> float | None:
        """After minus before, as `between` has it, else of the means; None where one has no score on test."""
        if self.between.value is not None:
            return self.between.value
        before, after = self.before.mean, self.after.mean
        return None if before is None or after is None else after - before

    @property
    def unlike(self) -> tuple[str, ...]:
        """What differs besides the score, of settings and `REVISIONS`; None is not known and so not different."""
        found = ["settings"] if self.before.path != self.after.path else []
        for field, name in REVISIONS.items():
            sides = (
                {getattr(run.provenance, field) for run in cell.runs} - {None} for cell in (self.before, self.after)
            )
            one, other = sides
            if one and other and one != other:
                found.append(name)
        return tuple(found)


@dataclass(frozen=True)
class Comparison:
    """Two results held against each other."""

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def compare(before: Results, after: Results) -> Comparison:
    """Match the cells of two results by model, data set and method."""
    ours, theirs = _by_labels(before.cells), _by_labels(after.cells)
    families: dict[Labels, list[Labels]] = {}
    for labels in ours:
        if labels in theirs:
            model, dataset, _, metric = labels
            families.setdefault((model, dataset, metric), []).append(labels)
    between: dict[Labels, Difference] = {}
    for family in families.values():
        pairs = {labels: (theirs[labels].answers, ours[labels].answers) for labels in family}
        between |= differences(pairs, theirs[family[0]].bounds)
    return Comparison(
        tuple(Change(one, theirs[labels], between[labels]) for labels, one in ours.items() if labels in theirs),
        tuple(cell.title for labels, cell in ours.items() if labels not in theirs),
        tuple(cell.title for labels, cell in theirs.items() if labels not in ours),
    )


def _by_labels(cells: Iterable[CellResults]) -> dict[Labels, CellResults]:
    return {(*cell.labels, cell.metric): cell for cell in cells}
