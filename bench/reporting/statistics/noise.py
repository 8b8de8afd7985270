"""Is a gap between two methods more than chance? The one rule that table, words and matrix ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from bench.reporting.statistics.intervals import MIN_SEEDS, Interval, difference_interval

Verdict = Literal["beyond", "within", "too few seeds", "exact"]


@dataclass(frozen=True)
class Gap:
    """What lies between two methods."""

    difference: float
    """Mean of the first minus mean of the second."""
    interval: Interval | None
    """95 % interval of the difference over seeds; None where seeds are too few, or where no seed changes either."""
    verdict: Verdict
    """``beyond``: zero lies outside of the interval. ``exact``: no seed changes either score."""


def gap_between(
    first: Sequence[float], second: Sequence[float], stochastic: tuple[bool, bool] = (True, True)
) -> Gap | None:
    """Compare the scores of two methods over their seeds; None where one has no score.

    Args:
        first: a score a seed.
        second: a score a seed; they are not paired with those of ``first``.
        stochastic: whether seeds change each result; one that they do not change needs one score.
    """
    if not first or not second:
        return None
    difference = fmean(first) - fmean(second)
    if not any(stochastic):
        return Gap(difference, None, "exact")
    if any(moves and len(side) < MIN_SEEDS for moves, side in zip(stochastic, (first, second), strict=True)):
        return Gap(difference, None, "too few seeds")
    interval = difference_interval(
        first if stochastic[0] else [fmean(first)], second if stochastic[1] else [fmean(second)]
    )
    assert interval is not None
    return Gap(difference, interval, "within" if 0.0 in interval else "beyond")
