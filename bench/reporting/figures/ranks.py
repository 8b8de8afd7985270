"""Mean rank of each method over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar

from bench.core.grouping import grouped
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, new_canvas, put_title, whole_numbers
from bench.reporting.findings import ranks_by_method

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


class MeanRanks(Figure):
    """Rank of each method on each task (a model on a data set), and the mean over tasks."""

    about: ClassVar[str] = (
        "The large point is the mean rank, small points are tasks. A rank is one more than the number of methods that "
        "are better beyond chance, so methods that cannot be told apart share one; tasks without predictions have none."
    )

    def groups(self, cells: Sequence[CellResults]) -> dict[str, list[CellResults]]:
        """Take all data sets of a metric together."""
        found = grouped(cells, lambda cell: cell.metric)
        return found if len(found) > 1 else {"": list(cells)}

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say the metric, and over how many tasks."""
        placed = ranks_by_method(cells)
        tasks = len(next(iter(placed.values()), {}))
        return f"Rank by {cells[0].metric} on test over {text.number_of(tasks, 'task')} (a model on a data set)"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the ranks of one metric."""
        placed = ranks_by_method(cells)
        if not placed:
            raise NoData("fewer than two tasks have a verdict on the same two methods")
        order = sorted(placed, key=lambda method: (-fmean(placed[method].values()), method))
        figure = new_canvas(6.4, 0.38 * len(order) + 1.4)
        axes = figure.subplots()
        for row, method in enumerate(order):
            found = sorted(placed[method].values())
            style = styles[method]
            # Tasks of the same rank stand beside each other.
            lanes = [found[:place].count(rank) - (found.count(rank) - 1) / 2 for place, rank in enumerate(found)]
            high = 2 * max(map(abs, lanes)) or 1
            axes.scatter(
                found, [row + 0.6 * lane / high for lane in lanes], s=9, color=style.colour, alpha=0.5, linewidths=0
            )
            axes.plot(fmean(found), row, style.marker, color=style.colour, markersize=9, markeredgecolor="white")
        axes.set_yticks(range(len(order)), labels=[text.wrap(method, 30) for method in order])
        axes.set_xlim(0.5, max(len(order), *(rank for of in placed.values() for rank in of.values())) + 0.5)
        whole_numbers(axes)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("rank (1 is best)")
        put_title(figure, self.title(cells), 6.4)
        return figure
