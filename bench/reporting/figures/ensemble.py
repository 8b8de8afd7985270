"""Ensembles: what a majority vote of several seeds gains over one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar

from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, label_outer, model_title, panels, put_legend, whole_numbers
from bench.runs.record import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_MOST_SUBSETS = 60


class Ensemble(Figure):
    """Accuracy on test of a majority vote of n seeds against n (Lester et al., 2021, section 6)."""

    about: ClassVar[str] = (
        "Mean over the ways to choose n of the seeds. A tied vote goes to the answer of the highest mean confidence, "
        "or to the first where confidences are not recorded."
    )

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say the data set."""
        return f"{cells[0].dataset}: accuracy on test of a majority vote of n seeds"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        models: dict[str, list[tuple[CellResults, list[Predictions]]]] = {}
        for cell in cells:
            voters = [run.predictions for run in cell.finals if run.status == "ok" and run.predictions]
            if len(voters) >= 3 and all(one.ids == voters[0].ids for one in voters):
                models.setdefault(cell.model, []).append((cell, voters))
        if not models:
            raise NoData("no method has three seeds with predictions on the same test items")
        figure, axes = panels(len(models), self.title(cells))
        for panel, (model, members) in zip(axes, models.items(), strict=True):
            for cell, voters in members:
                sizes = list(range(1, len(voters) + 1))
                style = styles[cell.method]
                scores = [vote_accuracy(voters, n) for n in sizes]
                panel.plot(sizes, scores, color=style.colour, marker=style.marker, linestyle=style.line)
            whole_numbers(panel)
            panel.set_title(model_title(model, members[0][0].base_parameters), fontsize="medium")
        put_legend(figure, [cell.method for members in models.values() for cell, _ in members], styles)
        label_outer(axes, "seeds that vote", "accuracy on test")
        return figure


def vote_accuracy(voters: Sequence[Predictions], size: int) -> float:
    """Return the accuracy of a majority vote, averaged over the subsets of so many voters (at most 60 of them)."""
    subsets = list(combinations(voters, size))
    step = max(1, len(subsets) // _MOST_SUBSETS)
    return fmean(_accuracy(subset) for subset in subsets[::step])


def _accuracy(voters: Sequence[Predictions]) -> float:
    references = voters[0].references
    return fmean(_vote(voters, item) == reference for item, reference in enumerate(references))


def _vote(voters: Sequence[Predictions], item: int) -> int:
    votes = Counter(one.predictions[item] for one in voters)
    most = max(votes.values())
    tied = [label for label, number in votes.items() if number == most]
    return max(tied, key=lambda label: _confidence(voters, item, label))


def _confidence(voters: Sequence[Predictions], item: int, label: int) -> float:
    found = [one.confidences[item] for one in voters if one.confidences and one.predictions[item] == label]
    return fmean(found) if found else 0.0
