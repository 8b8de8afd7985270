"""Which of the searched parameters matter: PED-ANOVA of each study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, label_outer, model_title, panels, put_legend
from bench.reporting.findings import counted_trials
from bench.reporting.statistics.intervals import LEVEL
from bench.reporting.statistics.paired import holm

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from bench.search.importance import Importance

_MOST_MODELS = 4
"""Each study takes half a second; the largest models are shown."""


class ParameterImportance(Figure):
    """Importance of the searched hyperparameters by method (PED-ANOVA); the four largest models."""

    about: ClassVar[str] = (
        "How far the values of a study's best trials (a tenth, at least five) lie apart from those of all its trials, "
        "as a share over its parameters (Watanabe et al., 2023, as Optuna has it). Filled bars are more than chance: "
        "of 149 studies whose scores were dealt to their points at random too few show as much (p below 5 %, "
        "corrected by Holm within a study); hollow ones are not, and say nothing of their parameter. It is what "
        "mattered within the ranges that were searched. A pruned trial counts with its last score, a diverged one as "
        "the majority class."
    )

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say data set and metric."""
        return f"{cells[0].dataset}: what mattered to {cells[0].settings.objective} on validation in each study"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the studies of one data set and metric."""
        from bench.search.importance import MIN_TRIALS

        models: dict[str, list[tuple[CellResults, dict[str, Importance]]]] = {}
        studied = [cell for cell in cells if len(cell.settings.search) > 1 and len(cell.trials) >= MIN_TRIALS]
        shown = list(dict.fromkeys(cell.model for cell in studied))[-_MOST_MODELS:]
        for cell in studied:
            if cell.model in shown and (found := _importances(cell)):
                models.setdefault(cell.model, []).append((cell, found))
        if not models:
            raise NoData(f"no study of two parameters or more has {MIN_TRIALS} trials that count and differ")
        rows = max(sum(len(found) + 1 for _, found in members) for members in models.values())
        figure, axes = panels(len(models), self.title(cells), width=4.4, height=0.2 * rows + 1.1, columns=2)
        for panel, (model, members) in zip(axes, models.items(), strict=True):
            at, places, names = 0, [], []
            for cell, found in members:
                style = styles[cell.method]
                for (name, one), p in zip(found.items(), holm([one.p for one in found.values()]), strict=True):
                    face = style.colour if p < 1 - LEVEL else "none"
                    panel.barh(at, one.share, height=0.75, color=face, edgecolor=style.colour, linewidth=1.1)
                    # A colour serves several methods: the marker at the end of the bar tells them apart.
                    panel.plot(one.share, at, style.marker, color=style.colour, markersize=5, clip_on=False)
                    places.append(at)
                    names.append(text.one_line(name, 24))
                    at += 1
                at += 1  # a gap between methods
            panel.set_yticks(places, labels=names, fontsize="x-small")
            panel.invert_yaxis()
            panel.set_xlim(0, 1)
            panel.grid(axis="y", visible=False)
            panel.set_title(model_title(model, members[0][0].base_parameters), fontsize="medium")
        put_legend(figure, [cell.method for members in models.values() for cell, _ in members], styles)
        label_outer(axes, "share of the importance", "")
        return figure


def _importances(cell: CellResults) -> dict[str, Importance]:
    from bench.search.importance import importances  # imports optuna

    trials = counted_trials(cell)
    return importances(cell.settings, [run.spec.params for run, _ in trials], [score for _, score in trials])
