"""Ensembles: what a majority vote of several seeds gains over one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar

from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, PanelAModel
from bench.reporting.figures.canvas import Style, whole_numbers
from bench.runs.record import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_SUBSETS = 60


class Ensemble(PanelAModel[list[Predictions]]):
    """Accuracy on test of a majority vote of n seeds against n (Lester et al., 2021, section 6)."""

    about: ClassVar[str] = (
        "Mean over the ways to choose n of the seeds. A tied vote goes to the answer of the highest mean confidence, "
        "or to the first where confidences are not recorded."
    )
    seen: ClassVar[str] = "{dataset}: accuracy on test of a majority vote of n seeds"
    lacking: ClassVar[str] = "no method has three seeds with predictions on the same test items"
    across: ClassVar[str] = "seeds that vote"

    def _up(self, cell: CellResults) -> str:
        return "accuracy on test"

    def _found(self, cell: CellResults) -> list[Predictions] | None:
        voters = [run.predictions for run in cell.finals if run.status == "ok" and run.predictions]
        return voters if len(voters) >= 3 and all(one.ids == voters[0].ids for one in voters) else None

    def _panel(self, axes: Axes, members: Sequence[Member[list[Predictions]]], styles: Mapping[str, Style]) -> None:
        for cell, voters in members:
            sizes = range(1, len(voters) + 1)
            axes.plot(sizes, [vote_accuracy(voters, n) for n in sizes], **styles[cell.method].look)
        whole_numbers(axes)


def vote_accuracy(voters: Sequence[Predictions], size: int) -> float:
    """Return the accuracy of a majority vote, averaged over the subsets of so many voters (at most 60 of them)."""
    subsets = list(combinations(voters, size))
    step = math.ceil(len(subsets) / _MOST_SUBSETS)
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
