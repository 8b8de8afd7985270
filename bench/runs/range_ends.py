"""A best value that sits at the end of its range: the optimum may lie beyond, and the comparison be unfair."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bench.core.distributions import Float
from bench.runs.record import TrialRecord
from bench.runs.selection import best_trial

MARGIN = 0.05
"""Share of a range, on its own scale, that counts as its end."""
FEWEST = 3
"""Good trials below which nothing is said: so few have not searched the range."""


@dataclass(frozen=True)
class RangeEnd:
    """A cell whose best learning rate lies at the end of its range."""

    cell: str
    """The cell in one line."""
    parameter: str
    value: float
    low: float
    high: float
    better_low: float
    """The range that would have the value in it, with room on both sides."""
    better_high: float

    def __str__(self) -> str:
        """Say it in one line, with what to write into the experiment file."""
        upper = self.better_high > self.high
        end, wider = ("upper", f"high: {self.better_high:.3g}") if upper else ("lower", f"low: {self.better_low:.3g}")
        return (
            f"{self.cell}: the best {self.parameter} ({self.value:.3g}) lies at the {end} end of its range, "
            f"{self.low:.3g} to {self.high:.3g}; a better one may lie beyond. "
            f"Widen it by 'search: {{{self.parameter}: {{{wider}}}}}'"
        )


def best_at_range_end(records: Iterable[TrialRecord], parameter: str = "learning_rate") -> RangeEnd | None:
    """Return the end of its range that the best value of one cell lies at, or None.

    The range that is proposed is longer by half of its length on that side (at least by a factor of 3 on a
    logarithmic scale).

    Args:
        records: runs of one cell.
        parameter: the searched parameter to look at.
    """
    records = list(records)
    best = best_trial(records)
    good = sum(r.spec.kind == "trial" and r.status == "ok" for r in records)
    if best is None or good < FEWEST:
        return None
    distribution = best.spec.cell.search.get(parameter)
    value = best.spec.params.get(parameter)
    if (
        not isinstance(distribution, Float)
        or not isinstance(value, int | float)
        or distribution.low == distribution.high
    ):
        return None
    scale, back = (math.log, math.exp) if distribution.log else (float, float)
    low, high, at = scale(distribution.low), scale(distribution.high), scale(value)
    step = max((high - low) / 2, math.log(3) if distribution.log else 0.0)
    if at >= high - MARGIN * (high - low):
        return RangeEnd(best.spec.cell.title, parameter, value, distribution.low, distribution.high,
                    distribution.low, _round(back(high + step)))  # fmt: skip
    if at <= low + MARGIN * (high - low):
        lower = _round(back(low - step))
        if not distribution.log and distribution.low > 0 >= lower:
            lower = _round(distribution.low / 10)  # what is positive stays positive
        if lower == distribution.low:
            return None
        return RangeEnd(best.spec.cell.title, parameter, value, distribution.low, distribution.high,
                    lower, distribution.high)  # fmt: skip
    return None


def _round(value: float) -> float:
    """Round to two digits: a range is written by hand."""
    return float(f"{value:.1e}")
