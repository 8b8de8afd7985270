"""Trials of studies with several objectives: what each costs against its score, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.experiment.settings import Objective
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, model_title, panels, put_legend, score_on_validation
from bench.runs.objectives import objective_values, pareto_front

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_AXES = {
    "trainable_parameters": "trainable parameters",
    "adapter_bytes": "saved adapter (bytes)",
    "memory": "peak live tensors (bytes)",
    "seconds": "training time (s)",
}
"""What the objectives besides the score are called on an axis."""


class TradeOff(Figure):
    """Studies with several objectives: score on validation against each other objective, all trials and their front."""

    about: ClassVar[str] = (
        "A point is a trial that ended well. Large ones are the Pareto front of their study: no other trial is better "
        "in one of its objectives without being worse in another."
    )
    seen: ClassVar[str] = "{dataset}: {objective} on validation against the study's other objectives"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the studies of one data set and metric."""
        places: dict[tuple[str, Objective], list[CellResults]] = {}
        for cell in cells:
            for other in cell.settings.study.objectives if _drawable(cell) else ():
                if other != "score":
                    places.setdefault((cell.model, other), []).append(cell)
        if not places:
            raise NoData("no study has the score and another objective (study.objectives)")
        figure, axes = panels(len(places), self.title(cells))
        for panel, ((model, other), members) in zip(axes, places.items(), strict=True):
            for cell in members:
                front = {id(run) for run in pareto_front(cell.runs, cell.settings.study.objectives)}
                style = styles[cell.method]
                for run in cell.trials:
                    values = objective_values(run, ("score", other))
                    if values is not None:
                        best = id(run) in front
                        size, alpha = (8, 1.0) if best else (4, 0.4)
                        panel.plot(
                            values[1], values[0], style.marker, color=style.colour, markersize=size, alpha=alpha,
                            markeredgecolor="black" if best else style.colour,
                        )  # fmt: skip
            panel.margins(x=0.1, y=0.1)
            panel.set_title(model_title(model, members[0].base_parameters), fontsize="medium")
            panel.set_xlabel(_AXES[other])
            panel.locator_params(axis="x", nbins=4)
        put_legend(figure, [cell.method for members in places.values() for cell in members], styles)
        axes[0].set_ylabel(score_on_validation(cells[0]))
        return figure


def _drawable(cell: CellResults) -> bool:
    objectives = cell.settings.study.objectives
    return len(objectives) > 1 and "score" in objectives and bool(pareto_front(cell.runs, objectives))
