"""One verdict: is a difference between two methods more than chance, and who is best?

Table, words, matrix, page and exports all ask `verdicts`, a comparison of two results `differences`: both correct for
all that they compare. `difference` is a single pair. The method and its limits: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, TypeVar

import numpy as np

from bench.reporting.statistics.components import (
    Part,
    critical,
    over_items,
    over_seeds,
    over_splits,
    p_value,
    residual,
    standard_error,
)
from bench.reporting.statistics.intervals import LEVEL, MIN_SEEDS, Interval
from bench.reporting.statistics.paired import MIN_ITEMS, holm
from bench.reporting.statistics.runs import Runs

Unknown = Literal["no predictions", "too few seeds", "too few items", "no spread"]
Outcome = Literal["win", "tie", "loss", "undecided"]
"""Better beyond chance, within chance, worse beyond chance, or nothing can be said."""
Key = TypeVar("Key")
Bounds = tuple[float, float] | None
"""The lowest and the highest score that a metric can give; None where it has no ends."""


@dataclass(frozen=True)
class Difference:
    """What lies between two methods on the same model and data."""

    value: float | None
    """Mean of the first minus mean of the second; None without predictions."""
    interval: Interval | None
    """95 % interval of this one difference, had other seeds and other test items been drawn; None where unknown."""
    p: float | None
    """Two-sided p of no difference, for this pair alone; None where unknown."""
    corrected: float | None
    """The same after Holm's correction for all pairs that were compared with it, never below ``p``."""
    verdict: Literal["beyond", "within"] | Unknown
    """``beyond``: the corrected p is below 5 %. Anything but that and ``within`` says why nothing can be said."""
    parts: tuple[Part, ...] = ()
    """Where the variance comes from."""
    sides: int = 0
    """How many of the two methods have more than one run."""

    def outcome(self, greater_is_better: bool = True) -> Outcome:
        """Return what came of it for the first method."""
        if self.verdict == "within":
            return "tie"
        if self.verdict != "beyond" or self.value is None:
            return "undecided"
        return "win" if (self.value > 0) == greater_is_better else "loss"

    def flipped(self) -> Difference:
        """Return second minus first."""
        interval = self.interval and Interval(-self.interval.high, -self.interval.low)
        return replace(self, value=None if self.value is None else -self.value, interval=interval)


@dataclass(frozen=True)
class Verdicts:
    """The methods of one model on one data set, held against each other."""

    pairs: dict[tuple[str, str], Difference]
    """Each ordered pair of methods."""
    to_baseline: dict[str, Difference]
    """Each method minus the baseline, corrected among themselves; empty without a baseline."""
    ranks: dict[str, int]
    """One more than the number of methods that are better beyond chance; without the methods that nothing can be said
    about."""
    best: tuple[str, ...]
    """All of rank 1 that are also better than the baseline beyond chance."""

    @property
    def resolution(self) -> float | None:
        """No gap smaller than this could be told from chance, between any two methods; None where nothing is known."""
        known = [one.interval for one in self.pairs.values() if one.interval]
        return min(((one.high - one.low) / 2 for one in known), default=None)


def verdicts(
    methods: Mapping[str, Runs | None],
    baseline: Runs | None = None,
    bounds: Bounds = (0.0, 1.0),
    greater_is_better: bool = True,
) -> Verdicts:
    """Hold all methods of one model and one data set against each other.

    All pairs are corrected together, not only those with the best: which one is best was read from the same scores.

    Args:
        methods: their finals; None where no test item was recorded.
        baseline: the majority class on the same test items; nobody is best that is not beyond it.
        bounds: of the metric.
        greater_is_better: whether a greater score is a better one.
    """
    known = [name for name, of in methods.items() if unknown_of(of) is None]
    moved = [len(of.by_seed) for name, of in methods.items() if name in known and of and len(of.by_seed) > 1]
    freedom = min(moved, default=2) - 1

    found = {(one, two): difference(methods[one], methods[two], bounds) for one, two in combinations(methods, 2)}
    found = _corrected(found, max(1, len(moved) - 1) * freedom)
    pairs = found | {(two, one): between.flipped() for (one, two), between in found.items()}
    to_baseline = {}
    if baseline is not None:
        to_baseline = differences({name: (of, baseline) for name, of in methods.items()}, bounds)

    def better(between: Difference) -> bool:
        return between.outcome(greater_is_better) == "win"

    ranks = {name: 1 + sum(better(pairs[other, name]) for other in known if other != name) for name in known}
    best = tuple(n for n in known if ranks[n] == 1 and (baseline is None or better(to_baseline[n])))
    return Verdicts(pairs, to_baseline, ranks, best)


def differences(
    pairs: Mapping[Key, tuple[Runs | None, Runs | None]], bounds: Bounds = (0.0, 1.0)
) -> dict[Key, Difference]:
    """Compare pairs of runs, first minus second, and correct them together.

    Args:
        pairs: each of a method of its own, such as what it scored before and after, or it and the baseline.
        bounds: of the metric.
    """
    known = [pair for pair in pairs.values() if not any(map(unknown_of, pair))]
    moved = [[len(of.by_seed) for of in pair if of and len(of.by_seed) > 1] for pair in known]
    moved = [seeds for seeds in moved if seeds]
    freedom = min((min(seeds) for seeds in moved), default=2) - 1
    found = {key: difference(*pair, bounds) for key, pair in pairs.items()}
    return _corrected(found, max(1, len(moved)) * freedom)


def difference(first: Runs | None, second: Runs | None, bounds: Bounds = (0.0, 1.0)) -> Difference:
    """Compare two methods over seeds and test items together, first minus second.

    Runs are paired by seed where both methods have the same seeds, else the methods' seeds are independent; and by item
    where both were tested on the same items, else the items are independent.

    Args:
        first: finals of a method; None where no test item was recorded.
        second: those of the other.
        bounds: of the metric.
    """
    unknown = unknown_of(first) or unknown_of(second)
    if "no predictions" in (unknown, unknown_of(second)) or not (first and second):
        return Difference(None, None, None, None, "no predictions")
    value = first.mean - second.mean
    if unknown:
        return Difference(value, None, None, None, unknown)
    width = bounds[1] - bounds[0] if bounds else math.inf
    parts = parts_of([(1.0, first), (-1.0, second)], width if bounds else 0.0)
    error = standard_error(parts)
    if not error:
        return Difference(value, None, None, None, "no spread")
    half = critical(parts, LEVEL) * error
    interval = Interval(max(value - half, -width), min(value + half, width))
    p = p_value(parts, value)
    sides = sum(len(of.by_seed) > 1 for of in (first, second))
    return Difference(value, interval, p, p, _verdict(p), tuple(parts), sides)


def mean_interval(of: Runs | None, bounds: Bounds = (0.0, 1.0)) -> Interval | None:
    """Return the 95 % interval of a method's mean score over seeds and test items; None where nothing can be said.

    Where the metric has ends, the interval lies between them.

    Source: Wilson (1927), with the number of independent answers that has the variance of the mean (the effective
    sample size of surveys; Dean and Pagano, 2015), and the critical value of `critical`.
    """
    if of is None or unknown_of(of):
        return None
    parts = own_parts(of, 0.0)
    error = standard_error(parts)
    if bounds is None:
        half = critical(parts, LEVEL) * error if error else math.inf
        return Interval(of.mean - half, of.mean + half) if error else None
    low, high = bounds
    share = min(1.0, max(0.0, (of.mean - low) / (high - low)))
    spread = share * (1 - share) * (high - low) ** 2
    # Where all answers are alike no variance is seen: the items are then the only answers that are independent.
    items = len(of.by_seed[0].items)
    count = spread / error**2 if error and spread else items
    t = critical(parts if error else [Part("items", 1.0, items - 1)], LEVEL)
    centre = (share + t**2 / (2 * count)) / (1 + t**2 / count)
    half = t / (1 + t**2 / count) * math.sqrt(share * (1 - share) / count + (t / (2 * count)) ** 2)
    return Interval(low + (high - low) * max(0.0, centre - half), low + (high - low) * min(1.0, centre + half))


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
        return own_parts(Runs(tuple(summed), True), reach)
    return [_scaled(part, weight) for weight, of in terms for part in own_parts(of, width / 2)]


def _scaled(part: Part, weight: float) -> Part:
    return replace(part, variance=weight**2 * part.variance)


def own_parts(of: Runs, reach: float) -> list[Part]:
    """Return the parts of the variance of one method's mean, or of differences within runs."""
    if of.one_test:
        return [over_items(of.scores, reach), *over_seeds(of.scores)]
    splits = over_splits([float(one.scores.mean()) for one in of.by_seed], of.test_over_train)
    # Three means can lie close together by chance; the items that all runs were tested on bound the variance below.
    items = over_items(of.by_item[None], reach)
    return [replace(splits, variance=max(splits.variance, items.variance))]


def unknown_of(of: Runs | None) -> Unknown | None:
    """Return why nothing can be said about chance in a method's mean; None where something can."""
    if of is None or not of.by_seed:
        return "no predictions"
    if len(of.by_seed) < MIN_SEEDS and (of.stochastic or not of.one_test):
        return "too few seeds"
    return "too few items" if min(len(one.items) for one in of.by_seed) < MIN_ITEMS else None


def _verdict(p: float) -> Literal["beyond", "within"]:
    return "beyond" if p < 1 - LEVEL else "within"


def _corrected(found: Mapping[Key, Difference], freedom: float) -> dict[Key, Difference]:
    """Apply Holm's correction to what is known, with the variance over seeds pooled over the whole family.

    Three seeds estimate a variance with two degrees of freedom: at the levels of Holm's steps nothing would be beyond.
    A difference has to pass with its own variance too, at 5 %, for methods may differ in how much seeds move them.
    """
    known = {key: one for key, one in found.items() if one.p is not None}
    over_seeds = {key: sum(part.variance for part in one.parts if part.source == "seeds") for key, one in known.items()}
    a_side = sum(over_seeds.values()) / max(1, sum(one.sides for one in known.values()))
    pooled = {}
    for key, one in known.items():
        items = [part for part in one.parts if part.source == "items"]
        pooled[key] = p_value([*items, Part("seeds", one.sides * a_side, freedom)], one.value or 0.0)
    family = dict(zip(pooled, holm(list(pooled.values())), strict=True))
    corrected = {key: max(one.p or 0.0, family[key]) for key, one in known.items()}
    return {
        key: replace(one, corrected=corrected[key], verdict=_verdict(corrected[key])) if key in corrected else one
        for key, one in found.items()
    }
