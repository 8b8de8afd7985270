"""A weighted sum of the means of several cells, with its interval: what a published sentence comes to in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.reporting.statistics.components import Part, critical, standard_error
from bench.reporting.statistics.intervals import LEVEL, Interval
from bench.reporting.statistics.runs import Runs
from bench.reporting.statistics.verdict import Bounds, Unknown, parts_of, unknown_of


@dataclass(frozen=True)
class Contrast:
    """A number with what is uncertain about it."""

    value: float | None
    interval: Interval | None
    """None where nothing can be said about chance."""
    unknown: Unknown | None = None
    """Why there is no interval."""


def contrast(terms: Sequence[tuple[float, Runs | None]], bounds: Bounds = (0.0, 1.0), level: float = LEVEL) -> Contrast:
    """Return the sum of weight times mean over some cells.

    With weights 1 and -1 it is `difference`. What a test item or a draw of the splits does to all cells alike cancels,
    or adds up, as it does in the sum (`parts_of`).

    Args:
        terms: a weight and the finals of each cell; None where no test item was recorded.
        bounds: of the metric.
        level: confidence of the interval.
    """
    if any(of is None or not of.by_seed for _, of in terms):
        return Contrast(None, None, "no predictions")
    known = [(weight, of) for weight, of in terms if of is not None]
    value = sum(weight * of.mean for weight, of in known)
    for _, of in known:
        if unknown := unknown_of(of):
            return Contrast(value, None, unknown)
    width = bounds[1] - bounds[0] if bounds else 0.0
    parts = parts_of(known, width)
    return _with_interval(value, parts, level)


def seeds_only(means: Sequence[tuple[float, Sequence[float], int]], level: float = LEVEL) -> Contrast:
    """Return the same for cells of which only each seed's score is known, not the answers to single items.

    The items' part is bounded from above: a score between 0 and 1 that items give has no greater variance than
    ``mean (1 - mean)``. The interval is then wider than need be, never narrower.

    Args:
        means: a weight, the scores by seed, from 0 to 1, and the number of test items of each cell.
        level: confidence of the interval.
    """
    value = sum(weight * float(np.mean(scores)) for weight, scores, _ in means)
    parts = []
    for weight, scores, items in means:
        mean = float(np.mean(scores))
        parts.append(Part("items", weight**2 * mean * (1 - mean) / items, items - 1))
        parts.append(Part("seeds", weight**2 * float(np.var(scores, ddof=1)) / len(scores), len(scores) - 1))
    return _with_interval(value, parts, level)


def _with_interval(value: float, parts: Sequence[Part], level: float) -> Contrast:
    error = standard_error(parts)
    if not error:
        return Contrast(value, None, "no spread")
    half = critical(parts, level) * error
    return Contrast(value, Interval(value - half, value + half))


def slope_weights(sizes: Sequence[float]) -> list[float]:
    """Return the weights by which values at some sizes give the slope of the least-squares line, a tenfold size."""
    at = np.log10(np.asarray(sizes, dtype=float))
    centred = at - at.mean()
    total = float(centred @ centred)
    if not total or not math.isfinite(total):
        raise ValueError(f"two different sizes at least, found {sorted(set(sizes))}")
    weights: list[float] = (centred / total).tolist()
    return weights
