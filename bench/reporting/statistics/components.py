"""The parts of a difference's variance, and the interval and the p value that follow (docs/statistics.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One source of variance: its estimate, and the degrees of freedom that this was estimated with."""

    source: Literal["items", "seeds"]
    """``seeds``: whatever differs from run to run, splits too."""
    variance: float
    freedom: float


def over_seeds(scores: Scores) -> list[Part]:
    """Return the variance that seeds give to the mean of ``scores`` [seeds, items]; empty for a single row."""
    seeds = len(scores)
    if seeds < 2:
        return []
    means = scores.mean(axis=1)
    # Equal means say nothing of how seeds vary; what they change in single items would move the means at least.
    equal = float(np.ptp(means)) < 1e-12
    return [Part("seeds", residual(scores) if equal else float(means.var(ddof=1)) / seeds, seeds - 1)]


def residual(scores: Scores) -> float:
    """Return the variance that what a seed does to single items gives to the mean of ``scores`` [seeds, items]."""
    seeds, items = scores.shape
    if seeds < 2:
        return 0.0
    left: Scores = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    squares = float(np.sum(left**2))
    # Where all seeds answer alike nothing but rounding is left, which is no variance.
    return squares / ((seeds - 1) * (items - 1) * seeds * items) if squares > 1e-20 * scores.size else 0.0


def over_items(scores: Scores, reach: float, noise: float | None = None) -> Part:
    """Return the variance that the choice of items gives to the mean of ``scores`` [seeds, items].

    Seeds and items are crossed: the residual is in the means over items and in those over seeds, and counts once.

    Args:
        scores: of a method, or differences of two.
        reach: half the width of the range that they can have (1 for a difference of scores in [0, 1]); two items at its
            ends are added to the variance, so that few or no observed differences are not taken for certainty; 0
            where the range has no ends.
        noise: the residual; None for that of the scores.

    Source: the two items are those of Agresti and Coull (1998) and, for pairs, of Bonett and Price (2012).
    """
    items = scores.shape[1]
    centred = scores - scores.mean()
    squares = float((centred.mean(axis=0) ** 2).sum())
    # What seeds answer independently of each other is averaged, and so is what is added: all of it counts where the
    # seeds agree, a part where they do not.
    whole = float((centred**2).sum()) / len(scores)
    added = 2 * reach**2 * (squares / whole if whole else 1.0)
    once = squares / (items - 1) / items - (residual(scores) if noise is None else noise)
    return Part("items", max(0.0, once) + added / items**2, items - 1)


def over_splits(means: Sequence[float], correlation: float) -> Part:
    """Return the variance of the mean of scores of which each was trained and tested on another split of the same data.

    ``correlation`` is that of two of the scores.

    Source: Nadeau and Bengio (2003), Inference for the generalization error, sections 2 and 3.
    """
    count = len(means)
    shared = correlation / (1 - correlation)
    return Part("seeds", (1 / count + shared) * float(np.var(means, ddof=1)), count - 1)


def standard_error(parts: Sequence[Part]) -> float:
    """Return the square root of the sum of the parts."""
    return math.sqrt(sum(part.variance for part in parts))


def p_value(parts: Sequence[Part], difference: float) -> float:
    """Return the two-sided p of no difference: Student's p of each part's freedom, weighted by the part's variance.

    The variance must not be zero. Satterthwaite's single t with pooled degrees of freedom holds too little with three
    seeds, the more so at the small levels of Holm's correction (measured by benchmarks/coverage.py).
    """
    return _tail(parts, abs(difference) / standard_error(parts))


def critical(parts: Sequence[Part], level: float) -> float:
    """Return how many standard errors the interval of confidence ``level`` reaches to each side: p_value inverted."""
    from scipy.optimize import brentq
    from scipy.special import stdtrit

    ends = [float(stdtrit(part.freedom, (1 + level) / 2)) for part in parts if part.variance]
    low, high = 0.99 * min(ends), 1.01 * max(ends)  # the ends themselves may miss the level by rounding
    return float(brentq(lambda t: _tail(parts, t) - (1 - level), low, high))


def _tail(parts: Sequence[Part], t: float) -> float:
    # What scipy.stats.t.sf calls, without its checks, which take a hundred times as long.
    from scipy.special import stdtr

    total = sum(part.variance for part in parts)
    return sum(2 * float(stdtr(part.freedom, -t)) * part.variance for part in parts) / total
