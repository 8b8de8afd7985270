"""Prompt length against validation score, a line a size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.core.grouping import grouped
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, PanelAMethod
from bench.reporting.figures.canvas import MANY_POINTS, Style, score_on_validation
from bench.runs.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KEY = "num_virtual_tokens"


class PromptLength(PanelAMethod):
    """Prompt length against validation score: a panel a method, a line a model."""

    about: ClassVar[str] = (
        "Faint points are trials; the line joins the best trial at each length, for the learning rate varies too."
    )
    seen: ClassVar[str] = "{dataset}: {objective} on validation against prompt length"

    lacking: ClassVar[str] = "no method was tried with two lengths of its prompt"
    across: ClassVar[str] = "virtual tokens (log scale)"

    def _up(self, cell: CellResults) -> str:
        return score_on_validation(cell)

    def _found(self, cell: CellResults) -> list[tuple[int, float]]:
        done = [(_length(run), run.objective) for run in cell.trials if run.status == "ok"]
        return sorted((length, score) for length, score in done if length is not None and score is not None)

    def _panel(
        self, axes: Axes, members: Sequence[Member[list[tuple[int, float]]]], styles: Mapping[str, Style]
    ) -> None:
        for cell, points in members:
            line = styles[cell.model]
            lengths, scores = zip(*points, strict=True)
            axes.scatter(
                lengths,
                scores,
                s=12,
                color=line.colour,
                alpha=0.35,
                linewidths=0,
                rasterized=len(points) > MANY_POINTS,
            )
            best = _envelope(cell, points)
            axes.plot(*zip(*best, strict=True), color=line.colour, marker=line.marker, markersize=5)
        axes.set_xscale("log")
        _ticks(axes, [length for _, points in members for length, _ in points])


def _length(run: TrialRecord) -> int | None:
    length = run.spec.method_options.get(_KEY)
    return length if isinstance(length, int) and length > 0 else None


def _envelope(cell: CellResults, points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the best score at each length."""
    pick = max if cell.settings.greater_is_better else min
    lengths = grouped(points, lambda point: point[0])
    return [(length, pick(score for _, score in at)) for length, at in lengths.items()]


def _ticks(panel: Axes, lengths: Sequence[int]) -> None:
    """Label a few of the lengths that were tried; powers of ten say nothing about 20 and 50."""
    low, high = min(lengths), max(lengths)
    ladder = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if low <= n <= high]
    if len(ladder) < 2:
        ladder = sorted({low, high})
    panel.set_xticks(ladder, labels=[str(n) for n in ladder])
    panel.minorticks_off()
