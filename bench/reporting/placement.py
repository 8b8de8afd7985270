"""Where each method stands at a model and a data set, by the verdicts of its group; the gap to full fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.reporting.cells import CellResults
from bench.reporting.statistics.verdict import Difference


@dataclass(frozen=True)
class Placement:
    """The place of a cell among the methods of its model on its data set; empty for a method without a model."""

    place: Literal["best", "second"] | None = None
    """``best``: no method is better beyond chance, and it is better than the majority class beyond chance; ``second``:
    the next rank. Methods share a place."""
    rank: int | None = None
    """One more than the number of methods that are better beyond chance."""
    to_best: str | None = None
    """The verdict on the gap to the highest mean; None for that one itself, and without a score."""
    gap_to_full: float | None = None
    """The mean minus that of full fine-tuning of the same model; None where there is none, and for itself."""
    to_full: Difference | None = None
    """The same with its interval."""
    resolution: float | None = None
    """No smaller gap between two of the methods could be told from chance."""


def placement(cell: CellResults) -> Placement:
    """Return the place of a cell."""
    group = cell.group
    if not cell.uses_model or cell.mean is None:
        return Placement()
    found = group.verdicts
    rank = found.ranks.get(cell.key)
    full = next((one for one in group.tested if one.trains_everything), None)
    return Placement(
        place="best" if cell in group.best else "second" if group.best and rank == _next(found.ranks) else None,
        rank=rank,
        to_best=None if cell is group.tested[0] else group.between(cell, group.tested[0]).verdict,
        gap_to_full=None if full is None or full is cell or full.mean is None else cell.mean - full.mean,
        to_full=None if full is None or full is cell else group.between(cell, full),
        resolution=found.resolution,
    )


def _next(ranks: dict[str, int]) -> int | None:
    return min((rank for rank in ranks.values() if rank > 1), default=None)
