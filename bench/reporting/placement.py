"""Where each method stands at a model and a data set: best, second, in the noise of the best; the gap to full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.reporting.cells import CellResults
from bench.reporting.statistics.noise import Gap, Verdict


@dataclass(frozen=True)
class Placement:
    """The place of a cell among the methods of its model on its data set."""

    place: Literal["best", "second"] | None = None
    """Equals share a place."""
    to_best: Verdict | None = None
    """Whether the gap to the best is more than chance; None for the best itself, and without a score."""
    to_full: Gap | None = None
    """The gap to full fine-tuning of the same model; None where there is none, and for itself."""


def rivals(cells: Iterable[CellResults]) -> dict[tuple[str, str, str], list[CellResults]]:
    """Group cells by what can be compared directly: data set, metric and model, methods without a model left out."""
    groups: dict[tuple[str, str, str], list[CellResults]] = {}
    for cell in cells:
        if cell.uses_model:
            groups.setdefault((cell.dataset, cell.metric, cell.model), []).append(cell)
    return groups


def placements(cells: Sequence[CellResults]) -> list[Placement]:
    """Return the place of each cell, in their order."""
    found = {id(cell): Placement() for cell in cells}
    for group in rivals(cells).values():
        tested = sorted((cell for cell in group if cell.mean is not None), key=lambda cell: cell.rank_key)
        if not tested:
            continue
        means = list(dict.fromkeys(cell.mean for cell in tested))
        full = next((cell for cell in tested if cell.trains_everything), None)
        for cell in tested:
            gap = cell.gap_to(tested[0])
            best = cell.mean == means[0]
            found[id(cell)] = Placement(
                place="best" if best else "second" if cell.mean == means[1] else None,
                to_best=None if best or gap is None else gap.verdict,
                to_full=None if full is None or full is cell else cell.gap_to(full),
            )
    return [found[id(cell)] for cell in cells]
