"""Who beats whom over tasks, and how methods rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.reporting.statistics.noise import gap_between


@dataclass(frozen=True)
class Scores:
    """The scores of a method on a task, one a seed."""

    values: Sequence[float]
    stochastic: bool = True
    greater_is_better: bool = True


@dataclass(frozen=True)
class Outcome:
    """How often one method beats another, over the tasks that both have."""

    wins: int = 0
    """Better beyond the noise over seeds."""
    ties: int = 0
    """Equal, or within the noise."""
    losses: int = 0
    undecided: int = 0
    """Too few seeds to say."""


def outcomes(table: Mapping[str, Mapping[str, Scores]]) -> dict[tuple[str, str], Outcome]:
    """Return wins, ties and losses of each ordered pair of methods.

    Args:
        table: method, then task, then its scores.
    """
    found = {}
    for one, ours in table.items():
        for other, theirs in table.items():
            if one == other:
                continue
            outcome = Outcome()
            for task in ours.keys() & theirs.keys():
                outcome = _count(outcome, ours[task], theirs[task])
            found[one, other] = outcome
    return found


def _count(outcome: Outcome, ours: Scores, theirs: Scores) -> Outcome:
    gap = gap_between(ours.values, theirs.values, (ours.stochastic, theirs.stochastic))
    if gap is None:
        return outcome
    if gap.verdict == "too few seeds":
        return replace(outcome, undecided=outcome.undecided + 1)
    if gap.verdict == "within" or gap.difference == 0:
        return replace(outcome, ties=outcome.ties + 1)
    if (gap.difference > 0) == ours.greater_is_better:
        return replace(outcome, wins=outcome.wins + 1)
    return replace(outcome, losses=outcome.losses + 1)


def ranks(table: Mapping[str, Mapping[str, Scores]]) -> dict[str, dict[str, float]]:
    """Rank the methods by their mean on each task that all of them have; 1 is best, equals share the mean rank.

    Returns:
        Method, then task, then rank. Empty tasks where no task is shared.
    """
    from scipy.stats import rankdata

    shared = sorted(set.intersection(*(set(tasks) for tasks in table.values()))) if table else []
    ranked: dict[str, dict[str, float]] = {method: {} for method in table}
    for task in shared:
        signed = [
            (-1 if of[task].greater_is_better else 1) * round(float(np.mean(of[task].values)), 12)
            for of in table.values()
        ]
        for method, rank in zip(table, rankdata(signed), strict=True):
            ranked[method][task] = float(rank)
    return ranked
