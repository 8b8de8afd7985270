"""One verdict: is a difference between two methods more than chance, and who is best?

Table, words, matrix, page and exports all ask `verdicts`, a comparison of two results `differences`: both correct for
all that they compare. `difference` is a single pair. The method and its limits: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median
from typing import Literal, TypeVar

from bench.reporting.statistics.components import Part, critical, p_value, standard_error
from bench.reporting.statistics.contrast import Bounds, Unknown, contrast, own_parts, unknown_of
from bench.reporting.statistics.intervals import LEVEL, Interval
from bench.reporting.statistics.moderated import moderated, prior_freedom
from bench.reporting.statistics.paired import holm
from bench.reporting.statistics.runs import Runs

Outcome = Literal["win", "tie", "loss", "undecided"]
"""Better beyond chance, within chance, worse beyond chance, or nothing can be said."""
Key = TypeVar("Key")


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
        """Half the width of the 95 % interval of a gap between two methods, the median of all pairs; None without one.

        Not the smallest one: two methods that answer alike have a narrow interval, whatever else the runs could tell.
        """
        known = [one.interval for one in self.pairs.values() if one.interval]
        return median((one.high - one.low) / 2 for one in known) if known else None


def verdicts(
    methods: Mapping[str, Runs | None],
    baseline: Runs | None = None,
    bounds: Bounds = (0.0, 1.0),
    greater_is_better: bool = True,
) -> Verdicts:
    """Hold all methods of one model and one data set against each other.

    All pairs are corrected together, not only those with the best: which one is best was read from the same scores.
    Finals are None where no test item was recorded. The baseline is the majority class on the same test items: nobody
    is best that is not beyond it.
    """
    known = [name for name, of in methods.items() if unknown_of(of) is None]
    parts = {name: _over_seeds(own_parts(of, 0.0)) for name, of in methods.items() if name in known and of}
    own = {name: part for name, part in parts.items() if part}
    found = {(one, two): difference(methods[one], methods[two], bounds) for one, two in combinations(methods, 2)}
    found = _corrected(found, {pair: sum(name in own for name in pair) for pair in found}, list(own.values()))
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

    Each pair is of a method of its own, such as what it scored before and after, or it and the baseline.
    """
    found = {key: difference(*pair, bounds) for key, pair in pairs.items()}
    sides = {
        key: sum(_over_seeds(own_parts(of, 0.0)) is not None for of in pair if of and unknown_of(of) is None)
        for key, pair in pairs.items()
    }
    return _corrected(found, sides)


def difference(first: Runs | None, second: Runs | None, bounds: Bounds = (0.0, 1.0)) -> Difference:
    """Compare two methods over seeds and test items together, first minus second.

    Runs are paired by seed where both methods have the same seeds, else the methods' seeds are independent; and by item
    where both were tested on the same items, else the items are independent. Finals are None where no test item was
    recorded.
    """
    found = contrast([(1.0, first), (-1.0, second)], bounds)
    if found.value is None or found.interval is None:
        return Difference(found.value, None, None, None, found.unknown or "no predictions")
    width = bounds[1] - bounds[0] if bounds else math.inf
    interval = Interval(max(found.interval.low, -width), min(found.interval.high, width))
    p = p_value(found.parts, found.value)
    return Difference(found.value, interval, p, p, _verdict(p), found.parts)


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


def _verdict(p: float) -> Literal["beyond", "within"]:
    return "beyond" if p < 1 - LEVEL else "within"


def _over_seeds(parts: Iterable[Part]) -> Part | None:
    """Return what seeds give to a variance, with the fewest degrees of freedom of it; None where they give nothing."""
    found = [part for part in parts if part.source == "seeds" and part.variance]
    if not found:
        return None
    return Part("seeds", sum(part.variance for part in found), min(part.freedom for part in found))


def _corrected(
    found: Mapping[Key, Difference], sides: Mapping[Key, int], methods: Sequence[Part] | None = None
) -> dict[Key, Difference]:
    """Apply Holm's correction to what is known, with variances over seeds that are moderated by each other.

    Three seeds estimate a variance with two degrees of freedom: at the levels of Holm's steps nothing would be beyond.
    A difference has to pass with its own variance too, at 5 %.

    Args:
        found: the differences that are corrected together.
        sides: how many of the two methods of each are moved by their seeds.
        methods: what seeds give to the variance of each method, where all are held against each other; None where each
            difference is of methods of its own.
    """
    known = {key: one for key, one in found.items() if one.p is not None}
    moved = {
        key: replace(part, variance=part.variance / max(1, sides[key]))
        for key, one in known.items()
        if (part := _over_seeds(one.parts))
    }
    pairs = list(moved.values())
    # Methods may be alike and their pairs not, where seeds move some of them together.
    prior = prior_freedom(pairs) if methods is None else min(prior_freedom(pairs), prior_freedom(methods))
    freedom = [part.freedom for part in (pairs if methods is None else methods)]
    most = sum(freedom) - (0 if methods is None else max(freedom, default=0))
    together = {key: one.p or 0.0 for key, one in known.items()}
    for (key, own), part in zip(moved.items(), moderated(pairs, prior, most), strict=True):
        if part != own:
            items = [part for part in known[key].parts if part.source == "items"]
            both = replace(part, variance=part.variance * max(1, sides[key]))
            together[key] = p_value([*items, both], known[key].value or 0.0)
    family = dict(zip(together, holm(list(together.values())), strict=True))
    corrected = {key: max(one.p or 0.0, family[key]) for key, one in known.items()}
    return {
        key: replace(one, corrected=corrected[key], verdict=_verdict(corrected[key])) if key in corrected else one
        for key, one in found.items()
    }
