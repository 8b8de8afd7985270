"""What an interval is, and below how much data there is none."""

from __future__ import annotations

from dataclasses import dataclass

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
