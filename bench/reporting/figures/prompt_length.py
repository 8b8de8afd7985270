"""Prompt length against validation score, a line a size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import (
    MANY_POINTS,
    Style,
    label_outer,
    model_legend,
    model_lines,
    panels,
    score_on_validation,
)
from bench.runs.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_KEY = "num_virtual_tokens"


class PromptLength(Figure):
    """Prompt length against validation score: a panel a method, a line a model."""

    about: ClassVar[str] = (
        "Faint points are trials; the line joins the best trial at each length, for the learning rate varies too."
    )
    seen: ClassVar[str] = "{dataset}: {objective} on validation against prompt length"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the trials of one data set and metric."""
        methods: dict[str, list[tuple[CellResults, list[tuple[int, float]]]]] = {}
        for cell in cells:
            points = _points(cell)
            if points:
                methods.setdefault(cell.method, []).append((cell, points))
        # One length in all cells of a method is no curve.
        methods = {
            method: found for method, found in methods.items() if len({x for _, points in found for x, _ in points}) > 1
        }
        if not methods:
            raise NoData("no method was tried with two lengths of its prompt")
        lines = model_lines(cells)
        figure, axes = panels(len(methods), self.title(cells))
        for panel, (method, found) in zip(axes, methods.items(), strict=True):
            for cell, points in found:
                line = lines[cell.model]
                lengths, scores = zip(*points, strict=True)
                panel.scatter(
                    lengths,
                    scores,
                    s=12,
                    color=line.colour,
                    alpha=0.35,
                    linewidths=0,
                    rasterized=len(points) > MANY_POINTS,
                )
                best = _envelope(cell, points)
                panel.plot(*zip(*best, strict=True), color=line.colour, marker=line.marker, markersize=5)
            panel.set_xscale("log")
            _ticks(panel, [x for _, points in found for x, _ in points])
            panel.set_title(text.wrap(method, 30), fontsize="medium")
        model_legend(figure, cells, {cell.model for found in methods.values() for cell, _ in found}, lines)
        label_outer(axes, "virtual tokens (log scale)", score_on_validation(cells[0]))
        return figure


def _points(cell: CellResults) -> list[tuple[int, float]]:
    done = [(_length(run), run.objective) for run in cell.trials if run.status == "ok"]
    return sorted((length, score) for length, score in done if length is not None and score is not None)


def _length(run: TrialRecord) -> int | None:
    length = run.spec.method_options.get(_KEY)
    return length if isinstance(length, int) and length > 0 else None


def _envelope(cell: CellResults, points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the best score at each length."""
    best: dict[int, float] = {}
    for length, score in points:
        pick = max if cell.settings.greater_is_better else min
        best[length] = pick(score, best.get(length, score))
    return sorted(best.items())


def _ticks(panel: Axes, lengths: Sequence[int]) -> None:
    """Label a few of the lengths that were tried; powers of ten say nothing about 20 and 50."""
    low, high = min(lengths), max(lengths)
    ladder = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if low <= n <= high]
    if len(ladder) < 2:
        ladder = sorted({low, high})
    panel.set_xticks(ladder, labels=[str(n) for n in ladder])
    panel.minorticks_off()
