"""Learning rate against validation score, all trials as points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import (
    MANY_POINTS,
    Style,
    label_outer,
    log_scale,
    model_title,
    panels,
    put_legend,
    split_word,
)
from bench.reporting.findings import rate_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


class LearningRate(Figure):
    """Learning rate against validation score: every trial of every study, a panel a model."""

    about: ClassVar[str] = (
        "Filled points are finished trials, the large one of each method its best; hollow ones were stopped early; "
        "crosses at the bottom are trials that failed there."
    )

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say data set and metric."""
        return f"{cells[0].dataset}: {cells[0].settings.objective} on validation against learning rate, all trials"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the trials of one data set and metric."""
        models: dict[str, list[CellResults]] = {}
        for cell in cells:
            if any(rate_of(run) is not None for run in cell.trials):
                models.setdefault(cell.model, []).append(cell)
        if not models:
            raise NoData("no study varied the learning rate")
        figure, axes = panels(len(models), self.title(cells))
        for panel, (model, members) in zip(axes, models.items(), strict=True):
            for cell in members:
                _draw(panel, cell, styles[cell.method])
            panel.set_title(model_title(model, members[0].base_parameters), fontsize="medium")
            panel.margins(x=0.08, y=0.1)
            log_scale(panel, "x")
        put_legend(figure, [cell.method for members in models.values() for cell in members], styles)
        score = f"{cells[0].settings.objective} on validation{split_word(cells[0].settings.greater_is_better)}"
        label_outer(axes, "learning rate (log scale)", score)
        return figure


def _draw(panel: Axes, cell: CellResults, style: Style) -> None:
    rated = [(rate, run) for run in cell.trials if (rate := rate_of(run)) is not None]
    failed = [rate for rate, run in rated if run.objective is None]
    panel.plot(
        failed, [0.02] * len(failed), "x", color=style.colour, markersize=5, transform=panel.get_xaxis_transform()
    )
    kinds = {
        "finished": [(rate, run) for rate, run in rated if run.status == "ok" and run is not cell.best],
        "stopped": [(rate, run) for rate, run in rated if run.status != "ok"],
        "best": [(rate, run) for rate, run in rated if run is cell.best],
    }
    for kind, runs in kinds.items():
        points = [(rate, run.objective) for rate, run in runs if run.objective is not None]
        if points:
            across, up = zip(*points, strict=True)
            panel.plot(
                across,
                up,
                linestyle="",
                marker=style.marker,
                color=style.colour,
                markersize=8 if kind == "best" else 4.5,
                markerfacecolor="none" if kind == "stopped" else style.colour,
                markeredgecolor="black" if kind == "best" else style.colour,
                alpha=1.0 if kind == "best" else 0.75,
                zorder=3 if kind == "best" else 2.5,
                rasterized=len(points) > MANY_POINTS,
            )
