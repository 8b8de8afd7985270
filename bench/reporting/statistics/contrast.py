"""A weighted sum of the means of several cells, with its interval: what a published sentence comes to in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.reporting.statistics.components import (
    Part,
    critical,
    over_items,
    over_seeds,
    over_splits,
    residual,
    standard_error,
)
from bench.reporting.statistics.intervals import LEVEL, MIN_SEEDS, Interval
from bench.reporting.statistics.paired import MIN_ITEMS
from bench.reporting.statistics.runs import Runs

Bounds = tuple[float, float] | None
"""The lowest and the highest score that a metric can give; None where it has no ends."""
Unknown = Literal["no predictions", "failed finals", "too few seeds", "too few items", "no spread"]


@dataclass(frozen=True)
class Contrast:
    """A number with what is uncertain about it."""

    value: float | None
    interval: Interval | None
    """None where nothing can be said about chance."""
    unknown: Unknown | None = None
    """Why there is no interval."""
    parts: tuple[Part, ...] = ()
    """Where the variance comes from."""


def contrast(terms: Sequence[tuple[float, Runs | None]], bounds: Bounds = (0.0, 1.0), level: float = LEVEL) -> Contrast:
    """Return the sum of weight times mean over some cells.

    What a test item or a draw of the splits does to all cells alike cancels,
    or adds up, as it does in the sum (`parts_of`). A cell is its weight and its finals, None where no test item was
    recorded.
    """
    if any(of is None or not of.by_seed for _, of in terms):
        return Contrast(None, None, "no predictions")
    known = _paired([(weight, of) for weight, of in terms if of is not None])
    value = sum(weight * of.mean for weight, of in known)
    for _, of in known:
        if unknown := unknown_of(of):
            return Contrast(value, None, unknown)
    return _with_interval(value, parts_of(known, bounds[1] - bounds[0] if bounds else 0.0), level)


def seeds_only(means: Sequence[tuple[float, Sequence[float], int]], level: float = LEVEL) -> Contrast:
    """Return the same for cells of which only each seed's score is known, not the answers to single items.

    A cell is its weight, the scores by seed, from 0 to 1, and the number of its test items. The items' part is bounded
    from above: a score between 0 and 1 that items give has no greater variance than ``mean (1 - mean)``. The interval
    is then wider than need be, never narrower.
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
    return Contrast(value, Interval(value - half, value + half), parts=tuple(parts))


def parts_of(terms: Sequence[tuple[float, Runs]], width: float) -> list[Part]:
    """Return the parts of the variance of a weighted sum of means; ``width`` is that of the metric's range, or 0.

    Cells that were tested on the same items are summed item by item, and seed by seed where they have the same seeds;
    without either they count as independent.
    """
    every = [of for _, of in terms]
    reach = sum(abs(weight) for weight, _ in terms) * width / 2
    if all(of.one_test and of.by_seed[0].items == every[0].by_seed[0].items for of in every):
        if len({of.seeds for of in every if len(of.by_seed) > 1}) < 2:
            # A method with one run, for seeds do not change it, stands beside each run of the others.
            scores = np.asarray(sum(weight * of.scores for weight, of in terms))
            return [over_items(scores, reach), *over_seeds(scores)]
        means = np.asarray(sum(weight * of.scores.mean(axis=0) for weight, of in terms))
        noise = sum(weight**2 * residual(of.scores) for weight, of in terms)
        seeds = [_scaled(part, weight) for weight, of in terms for part in over_seeds(of.scores)]
        return [over_items(means[None], reach, noise), *seeds]
    tests = [[(run.seed, run.items) for run in of.by_seed] for of in every]
    if not any(of.one_test for of in every) and all(test == tests[0] for test in tests):
        summed = []
        for runs in zip(*(of.by_seed for of in every), strict=True):
            scores = np.asarray(sum(weight * run.scores for (weight, _), run in zip(terms, runs, strict=True)))
            summed.append(replace(runs[0], scores=scores))
        return own_parts(replace(every[0], by_seed=tuple(summed), stochastic=True), reach)
    return [_scaled(part, weight) for weight, of in terms for part in own_parts(of, width / 2)]


def _paired(terms: Sequence[tuple[float, Runs]]) -> Sequence[tuple[float, Runs]]:
    """Leave out, where every run has a test split of its own, the runs that have no partner in all other cells.

    Some draws are easier than others: a cell without the easy ones is not to be held against one that has them. Where
    too few partners are left, all runs stay.
    """
    common = set.intersection(*({(run.seed, run.items) for run in of.by_seed} for _, of in terms)) if terms else set()
    if any(of.one_test for _, of in terms) or len(common) < MIN_SEEDS:
        return terms
    return [
        (weight, replace(of, by_seed=tuple(run for run in of.by_seed if (run.seed, run.items) in common)))
        for weight, of in terms
    ]


def _scaled(part: Part, weight: float) -> Part:
    return replace(part, variance=weight**2 * part.variance)


def own_parts(of: Runs, reach: float) -> list[Part]:
    """Return the parts of the variance of one method's mean, or of differences within runs."""
    if of.one_test:
        return [over_items(of.scores, reach), *over_seeds(of.scores)]
    splits = over_splits([float(one.scores.mean()) for one in of.by_seed], of.correlation)
    # Three means can lie close together by chance; the items that all runs were tested on bound the variance below.
    items = over_items(of.by_item[None], reach)
    return [replace(splits, variance=max(splits.variance, items.variance))]


def unknown_of(of: Runs | None) -> Unknown | None:
    """Return why nothing can be said about chance in a method's mean; None where something can."""
    if of is None or not of.by_seed:
        return "no predictions"
    if of.failed:
        return "failed finals"
    if len(of.by_seed) < MIN_SEEDS and (of.stochastic or not of.one_test):
        return "too few seeds"
    return "too few items" if min(len(one.items) for one in of.by_seed) < MIN_ITEMS else None


def slope_weights(sizes: Sequence[float]) -> list[float]:
    """Return the weights by which values at two sizes or more give the slope of their line, a tenfold size.

    The line is that of least squares.
    """
    at = np.log10(np.asarray(sizes, dtype=float))
    centred = at - at.mean()
    weights: list[float] = (centred / (centred @ centred)).tolist()
    return weights
