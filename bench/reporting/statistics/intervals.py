"""Intervals for means over seeds, and for the difference of two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

LEVEL = 0.95
"""Confidence of every interval of a report."""

MIN_SEEDS = 3
"""Below so many seeds nothing is said about chance: the interval of two is 9 standard deviations wide on each side."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Return Student's t interval of a mean; None below two values.

    Equal values give an interval of no width, which is as much as they say.
    """
    if len(values) < 2:
        return None
    return _student(fmean(values), variance(values) / len(values), len(values) - 1, level)


def difference_interval(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Return Welch's t interval of the difference of two means, first minus second.

    A side of one value is taken for exact (a method whose result no seed changes); None where both
    are, or where a side is empty.

    Source: Welch (1947), The generalization of "Student's" problem; degrees of freedom by Satterthwaite.
    """
    if not first or not second or (len(first) < 2 and len(second) < 2):
        return None
    parts = [(variance(side) / len(side), len(side) - 1) for side in (first, second) if len(side) > 1]
    squared = sum(part for part, _ in parts)
    below = sum(part**2 / freedom for part, freedom in parts)
    freedom = squared**2 / below if below else float(min(freedom for _, freedom in parts))
    return _student(fmean(first) - fmean(second), squared, freedom, level)


def _student(centre: float, squared_error: float, freedom: float, level: float) -> Interval:
    # What scipy.stats.t.ppf calls, without its checks, which take a hundred times as long.
    from scipy.special import stdtrit

    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(squared_error)
    return Interval(centre - half, centre + half)
