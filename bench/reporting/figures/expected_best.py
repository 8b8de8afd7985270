"""Expected best validation score after n trials: how much tuning a method needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, PanelAModel
from bench.reporting.figures.canvas import Style, split_word, whole_numbers
from bench.reporting.findings import expected_curve
from bench.reporting.statistics.intervals import Interval
from bench.reporting.statistics.search import expected_best

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[list[float], list[Interval] | None]
"""Scores of the trials, and a band."""


class ExpectedBest(PanelAModel[Curve]):
    """Expected best validation score after n trials (Dodge et al., 2019): how much tuning a method needs."""

    about: ClassVar[str] = (
        "Had n of the trials been drawn at random, this is the best score to be expected: a line that still rises at "
        "its end needs more trials. A pruned trial counts with its last score, a diverged one as the majority class. "
        "A random search without pruning has a band that holds its whole true curve with 95 % (after Lourie et al., "
        "2023); its first trial, the defaults, is not drawn at random and left out. Other samplers have no band, for "
        "their trials are not independent."
    )
    seen: ClassVar[str] = "{dataset}: expected best {objective} on validation after n trials"
    lacking: ClassVar[str] = "no study has two trials that count"
    across: ClassVar[str] = "trials"

    def _up(self, cell: CellResults) -> str:
        return f"expected best {cell.settings.objective}{split_word(cell.settings.greater_is_better)}"

    def _found(self, cell: CellResults) -> Curve | None:
        curve = expected_curve(cell)
        return curve if len(curve[0]) > 1 else None

    def _panel(self, axes: Axes, members: Sequence[Member[Curve]], styles: Mapping[str, Style]) -> None:
        most = max(len(scores) for _, (scores, _) in members)
        for cell, (scores, band) in members:
            steps = range(1, len(scores) + 1)
            style = styles[cell.method]
            best = [expected_best(scores, n, cell.settings.greater_is_better) for n in steps]
            axes.plot(steps, best, **style.look, markersize=4, markevery=max(1, most // 12))
            if band:
                lows, highs = [one.low for one in band], [one.high for one in band]
                axes.fill_between(steps, lows, highs, color=style.colour, alpha=0.12, linewidth=0)
        whole_numbers(axes)
