"""Learning curves: training loss, perplexity, validation score, gradient norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar

from bench.core.grouping import grouped
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import (
    LEGEND,
    Style,
    log_scale,
    model_title,
    new_canvas,
    put_legend,
    put_title,
    whole_numbers,
)
from bench.runs.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_Curve = list[tuple[int, float]]
_MOST_POINTS = 150
"""Longer curves are averaged in blocks, so that noise does not fill the panel."""


_MOST_SEEDS = 3
"""More lines of one colour say no more."""
_MOST_MODELS = 6


class Curves(Figure):
    """Learning curves of the finals: training loss, perplexity and score on validation, gradient norm."""

    about: ClassVar[str] = (
        "One line a seed of the best configuration, three of them at most, and of more than six models the largest. "
        "Long training curves are means of blocks of steps."
    )
    seen: ClassVar[str] = "{dataset}: learning curves of the best configuration of each method"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        trained = [cell for cell in cells if any(run.train_curve for run in cell.measured)]
        if not trained:
            raise NoData("no run has a training curve")
        models = dict(list(grouped(trained, lambda cell: cell.model).items())[-_MOST_MODELS:])
        headings = ["training loss (nats a token)", "perplexity on validation", f"{cells[0].metric} on validation"]
        headings.append("gradient norm")
        width = 2.6 * len(headings)
        figure = new_canvas(width + LEGEND, 2.4 * len(models) + 0.6)
        grid = figure.subplots(len(models), len(headings), squeeze=False)
        for row, (model, members) in zip(grid, models.items(), strict=True):
            for cell in members:
                for run in cell.measured[:_MOST_SEEDS]:
                    for axes, curve in zip(row, _curves(run, cell.metric), strict=True):
                        style = styles[cell.method]
                        axes.plot(
                            [step for step, _ in curve],
                            [value for _, value in curve],
                            **style.look | ({} if len(curve) < 12 else {"marker": None}),
                            markersize=3.5,
                            linewidth=1.1,
                            alpha=0.8,
                        )
            for axes in (row[1], row[3]):
                log_scale(axes, "y")
            row[0].set_ylabel(model_title(model, members[0].base_parameters), fontsize="small")
        for axes, heading in zip(grid[0], headings, strict=True):
            axes.set_title(heading, fontsize="small")
        for axes in grid[-1]:
            axes.set_xlabel("step", fontsize="small")
        for axes in grid.flat:
            axes.tick_params(labelsize="x-small")
            whole_numbers(axes)
        put_legend(figure, [cell.method for cell in trained], styles)
        put_title(figure, self.title(cells), width)
        return figure


def _curves(run: TrialRecord, metric: str) -> tuple[_Curve, _Curve, _Curve, _Curve]:
    validation = run.validation_curve
    return (
        thinned([(point.step, point.loss) for point in run.train_curve]),
        [(point.step, point.perplexity) for point in validation if point.perplexity is not None],
        [(point.step, point.metrics[metric]) for point in validation if metric in point.metrics],
        thinned([(point.step, point.grad_norm) for point in run.train_curve if point.grad_norm > 0]),
    )


def thinned(curve: _Curve, most: int = _MOST_POINTS) -> _Curve:
    """Average a long curve in blocks of neighbours; a block stands at its last step."""
    if len(curve) <= most:
        return curve
    block = -(-len(curve) // most)
    parts = [curve[begin : begin + block] for begin in range(0, len(curve), block)]
    return [(part[-1][0], fmean(value for _, value in part)) for part in parts]
