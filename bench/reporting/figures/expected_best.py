"""Expected best validation score after n trials: how much tuning a method needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import (
    Style,
    label_outer,
    model_title,
    panels,
    put_legend,
    split_word,
    whole_numbers,
)
from bench.reporting.findings import expected_curve
from bench.reporting.statistics.intervals import Interval
from bench.reporting.statistics.search import expected_best

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


_MOST_NUMBERS = 100
"""Of more trials not every number has its point: the line is smooth."""


class ExpectedBest(Figure):
    """Expected best validation score after n trials (Dodge et al., 2019): how much tuning a method needs."""

    about: ClassVar[str] = (
        "Had n of the trials been drawn at random, this is the best score to be expected: a line that still rises at "
        "its end needs more trials. A pruned trial counts with its last score, a diverged one as the majority class. "
        "A random search without pruning has a band that holds its whole true curve with 95 % (after Lourie et al., "
        "2023); its first trial, the defaults, is not drawn at random and left out. Other samplers have no band, for "
        "their trials are not independent."
    )

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say data set and metric."""
        return f"{cells[0].dataset}: expected best {cells[0].settings.objective} on validation after n trials"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the studies of one data set and metric."""
        models: dict[str, list[tuple[CellResults, list[float], list[Interval] | None]]] = {}
        for cell in cells:
            scores, band = expected_curve(cell)
            if len(scores) > 1:
                models.setdefault(cell.model, []).append((cell, scores, band))
        if not models:
            raise NoData("no study has two trials that count")
        figure, axes = panels(len(models), self.title(cells))
        for panel, (model, members) in zip(axes, models.items(), strict=True):
            most = max(len(scores) for _, scores, _ in members)
            for cell, scores, band in members:
                steps = _numbers(len(scores))
                style = styles[cell.method]
                panel.plot(
                    steps,
                    [expected_best(scores, n, cell.settings.greater_is_better) for n in steps],
                    color=style.colour,
                    marker=style.marker,
                    linestyle=style.line,
                    markersize=4,
                    markevery=max(1, min(most, _MOST_NUMBERS) // 12),
                )
                if band:
                    lows, highs = [band[n - 1].low for n in steps], [band[n - 1].high for n in steps]
                    panel.fill_between(steps, lows, highs, color=style.colour, alpha=0.12, linewidth=0)
            whole_numbers(panel)
            panel.set_title(model_title(model, members[0][0].base_parameters), fontsize="medium")
        put_legend(figure, [cell.method for members in models.values() for cell, _, _ in members], styles)
        study = cells[0].settings
        label_outer(axes, "trials", f"expected best {study.objective}{split_word(study.greater_is_better)}")
        return figure


def _numbers(trials: int) -> list[int]:
    """Return the numbers of trials that are drawn, from 1 to all, dense where the line is steep."""
    if trials <= _MOST_NUMBERS:
        return list(range(1, trials + 1))
    return sorted({round(trials ** (place / (_MOST_NUMBERS - 1))) for place in range(_MOST_NUMBERS)})
