"""Which of the searched parameters matter: PED-ANOVA of each study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, PanelAModel
from bench.reporting.figures.canvas import Style
from bench.reporting.findings import counted_trials
from bench.reporting.statistics.intervals import LEVEL
from bench.reporting.statistics.paired import holm
from bench.search.importance import MIN_TRIALS, Importance, importances

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_MOST_MODELS = 4
"""Each study takes half a second; the largest models are shown."""


class ParameterImportance(PanelAModel[dict[str, Importance]]):
    """Importance of the searched hyperparameters by method (PED-ANOVA); the four largest models."""

    about: ClassVar[str] = (
        "How far the values of a study's best trials (a tenth, at least five) lie apart from those of all its trials, "
        "as a share over its parameters (Watanabe et al., 2023, as Optuna has it). Filled bars are more than chance: "
        "of 149 studies whose scores were dealt to their points at random too few show as much (p below 5 %, "
        "corrected by Holm within a study); hollow ones are not, and say nothing of their parameter. It is what "
        "mattered within the ranges that were searched. A pruned trial counts with its last score, a diverged one as "
        "the majority class."
    )
    seen: ClassVar[str] = "{dataset}: what mattered to {objective} on validation in each study"
    lacking: ClassVar[str] = f"no study of two parameters or more has {MIN_TRIALS} trials that count and differ"
    across: ClassVar[str] = "share of the importance"

    def _up(self, cell: CellResults) -> str:
        return ""

    def _size(self, models: Mapping[str, Sequence[Member[dict[str, Importance]]]]) -> dict[str, float]:
        rows = max(sum(len(found) + 1 for _, found in members) for members in models.values())
        return {"width": 4.4, "height": 0.2 * rows + 1.1}

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the studies of the largest models on one data set by one metric."""
        models = list(dict.fromkeys(cell.model for cell in cells if _studied(cell)))[-_MOST_MODELS:]
        return super().draw([cell for cell in cells if cell.model in models], styles)

    def _found(self, cell: CellResults) -> dict[str, Importance] | None:
        if not _studied(cell):
            return None
        trials = counted_trials(cell)
        return (
            importances(cell.settings, [run.spec.params for run, _ in trials], [score for _, score in trials]) or None
        )

    def _panel(self, axes: Axes, members: Sequence[Member[dict[str, Importance]]], styles: Mapping[str, Style]) -> None:
        at, places, names = 0, [], []
        for cell, found in members:
            style = styles[cell.method]
            for (name, one), p in zip(found.items(), holm([one.p for one in found.values()]), strict=True):
                face = style.colour if p < 1 - LEVEL else "none"
                axes.barh(at, one.share, height=0.75, color=face, edgecolor=style.colour, linewidth=1.1)
                # A colour serves several methods: the marker at the end of the bar tells them apart.
                axes.plot(one.share, at, style.marker, color=style.colour, markersize=5, clip_on=False)
                places.append(at)
                names.append(text.one_line(name, 24))
                at += 1
            at += 1  # a gap between methods
        axes.set_yticks(places, labels=names, fontsize="x-small")
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.grid(axis="y", visible=False)


def _studied(cell: CellResults) -> bool:
    return len(cell.settings.search) > 1 and len(cell.trials) >= MIN_TRIALS
