"""A searched hyperparameter against validation score, all trials as points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, PanelAModel
from bench.reporting.figures.canvas import MANY_POINTS, Style, log_scale, score_on_validation
from bench.reporting.findings import searched_value
from bench.runs.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Tried = list[tuple[float, TrialRecord]]
"""The trials of a study that chose a value of the hyperparameter, with it."""


class Searched(PanelAModel[Tried]):
    """A hyperparameter against validation score: every trial of every study, a panel a model."""

    about: ClassVar[str] = (
        "Filled points are finished trials, the large one of each method its best; hollow ones were stopped early; "
        "crosses at the bottom are trials that failed there."
    )
    hyperparameter: ClassVar[str]
    """As it is called in ``search``."""

    def _up(self, cell: CellResults) -> str:
        return score_on_validation(cell)

    def _found(self, cell: CellResults) -> Tried | None:
        tried = [(searched_value(run, self.hyperparameter), run) for run in cell.trials]
        return [(value, run) for value, run in tried if value is not None] or None

    def _panel(self, axes: Axes, members: Sequence[Member[Tried]], styles: Mapping[str, Style]) -> None:
        for cell, tried in members:
            _draw(axes, cell, tried, styles[cell.method])
        axes.margins(x=0.08, y=0.1)
        log_scale(axes, "x")


class LearningRate(Searched):
    """Learning rate against validation score: every trial of every study, a panel a model."""

    hyperparameter: ClassVar[str] = "learning_rate"
    seen: ClassVar[str] = "{dataset}: {objective} on validation against learning rate, all trials"
    lacking: ClassVar[str] = "no study varied the learning rate"
    across: ClassVar[str] = "learning rate (log scale)"


class SearchedLength(Searched):
    """Prompt length against validation score: every trial of every study, a panel a model."""

    hyperparameter: ClassVar[str] = "num_virtual_tokens"
    seen: ClassVar[str] = "{dataset}: {objective} on validation against prompt length, all trials"
    lacking: ClassVar[str] = "no study varied the length of a prompt"
    across: ClassVar[str] = "virtual tokens (log scale)"


def _draw(panel: Axes, cell: CellResults, tried: Tried, style: Style) -> None:
    failed = [value for value, run in tried if run.objective is None]
    panel.plot(
        failed, [0.02] * len(failed), "x", color=style.colour, markersize=5, transform=panel.get_xaxis_transform()
    )
    kinds = {
        "finished": [(value, run) for value, run in tried if run.status == "ok" and run is not cell.best],
        "stopped": [(value, run) for value, run in tried if run.status != "ok"],
        "best": [(value, run) for value, run in tried if run is cell.best],
    }
    for kind, runs in kinds.items():
        points = [(value, run.objective) for value, run in runs if run.objective is not None]
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
