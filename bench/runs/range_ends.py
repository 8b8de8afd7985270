"""A best value that sits at the end of its range: the optimum may lie beyond, and the comparison be unfair."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bench.core.distributions import Float
from bench.runs.record import TrialRecord
from bench.runs.selection import best_trial

MARGIN = 0.05
"""Share of a range, on its own scale, that counts as its end."""
FEWEST = 3
"""Good trials below which nothing is said: so few have not searched the range."""


def range_end_caution(records: Iterable[TrialRecord], parameter: str = "learning_rate") -> str | None:
    """Say that the best value of one cell lies at an end of its range, and what to write into the experiment file.

    The range that is proposed is longer by half of its length on that side (at least by a factor of 3 on a
    logarithmic scale).

    Returns:
        None where it does not, or too little was searched.
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
        end, wider = "upper", f"high: {_round(back(high + step)):.3g}"
    elif at <= low + MARGIN * (high - low):
        lower = _round(back(low - step))
        if not distribution.log and distribution.low > 0 >= lower:
            lower = _round(distribution.low / 10)  # what is positive stays positive
        if lower == distribution.low:
            return None
        end, wider = "lower", f"low: {lower:.3g}"
    else:
        return None
    return (
        f"{best.spec.cell.title}: the best {parameter} ({value:.3g}) lies at the {end} end of its range, "
        f"{distribution.low:.3g} to {distribution.high:.3g}; a better one may lie beyond. "
        f"Widen it by 'search: {{{parameter}: {{{wider}}}}}'"
    )


def _round(value: float) -> float:
    """Round to two digits: a range is written by hand."""
    return float(f"{value:.1e}")
