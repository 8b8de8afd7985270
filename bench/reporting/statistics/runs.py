"""What finals answered, item by item: the input of every verdict."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import fmean

import numpy as np

from bench.reporting.statistics.components import Scores


@dataclass(frozen=True, eq=False)
class Run:
    """One final. Made by `run`, which brings the items into an order that all finals share."""

    seed: int
    """What pairs it with a run of another method: its seed, or the number of its fold."""
    items: tuple[tuple[str, int], ...]
    """Each test item: its id, and how many of the same id stand before it."""
    scores: Scores
    """[items]; their mean is the run's score."""


def run(seed: int, ids: Sequence[str], scores: Sequence[float] | Scores) -> Run:
    """Return a final from the ids of its test items and a score an item, both in the order of its record."""
    seen: dict[str, int] = {}
    items = []
    for one in ids:
        items.append((one, seen.get(one, 0)))
        seen[one] = seen.get(one, 0) + 1
    order = sorted(range(len(items)), key=items.__getitem__)
    values = np.asarray(scores, dtype=float)
    if len(values) != len(items):
        raise ValueError(f"a score for each of {len(items)} items, found {len(values)}")
    return Run(seed, tuple(items[place] for place in order), values[order])


@dataclass(frozen=True, eq=False)
class Runs:
    """All finals of a method that ended well. Made by `runs`."""

    by_seed: tuple[Run, ...]
    stochastic: bool
    """Whether seeds change the result; one run is all there is to know of a method that they do not change."""
    failed: int = 0
    """Finals that failed, and so are not among them: those that did not would flatter an unstable method."""
    folds: int | None = None
    """Of how many folds the runs are; None where each run has a draw of its own, or all have the same test items."""

    @property
    def mean(self) -> float:
        """The mean of the runs' scores."""
        return fmean(float(one.scores.mean()) for one in self.by_seed)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the runs, ascending."""
        return tuple(one.seed for one in self.by_seed)

    @property
    def one_test(self) -> bool:
        """Whether all runs were tested on the same items: no folds, no redrawn splits."""
        return all(one.items == self.by_seed[0].items for one in self.by_seed)

    @cached_property
    def scores(self) -> Scores:
        """[runs, items], where all runs were tested on the same items."""
        return np.stack([one.scores for one in self.by_seed])

    @property
    def by_item(self) -> Scores:
        """[items] the mean score of each item over the runs that were tested on it."""
        seen: dict[tuple[str, int], list[float]] = {}
        for one in self.by_seed:
            for item, score in zip(one.items, one.scores.tolist(), strict=True):
                seen.setdefault(item, []).append(score)
        return np.array([fmean(scores) for scores in seen.values()])

    @cached_property
    def correlation(self) -> float:
        """How far the scores of two runs go together, where each has test items of its own.

        Source: Nadeau and Bengio (2003), section 3: test rows / (training + test rows), which neglects that runs share
        training rows too. It is used for folds as well: one over their number. Of random draws it is, on average, the
        share of test items that two have in common; counted, it also serves draws that train on few of the other rows.
        """
        if self.folds:
            return 1 / self.folds
        tests = [set(one.items) for one in self.by_seed]
        return fmean(2 * len(one & other) / (len(one) + len(other)) for one, other in combinations(tests, 2))


def runs(finals: Sequence[Run], stochastic: bool = True, failed: int = 0, folds: int | None = None) -> Runs:
    """Return the finals of a method, by seed."""
    return Runs(tuple(sorted(finals, key=lambda one: one.seed)), stochastic, failed, folds)


def item_scores(
    predictions: Sequence[int],
    references: Sequence[int],
    metric: Callable[[Sequence[int], Sequence[int]], float] | None = None,
) -> Scores:
    """Return a score an item whose mean is the metric, from label indices, item for item.

    Without a metric it is accuracy, whose items count 0 or 1. Any other (macro F1, Matthews' correlation) is spread
    over the items by the jackknife: an item's score says how the metric changes without it.

    Source: Tukey's pseudo-values; Efron and Tibshirani (1993), An introduction to the bootstrap, section 11.4. Their
    mean is moved from the jackknife's estimate to the metric itself.
    """
    if metric is None:
        return np.equal(predictions, references).astype(float)
    whole = metric(predictions, references)
    count = len(predictions)
    without: dict[tuple[int, int], float] = {}
    for place, pair in enumerate(zip(predictions, references, strict=True)):
        if pair not in without:
            without[pair] = metric(
                [*predictions[:place], *predictions[place + 1 :]], [*references[:place], *references[place + 1 :]]
            )
    left = np.array([without[pair] for pair in zip(predictions, references, strict=True)])
    values: Scores = whole + (count - 1) * (left.mean() - left)
    return values


def agreement(answers: Sequence[Sequence[Hashable]]) -> float | None:
    """Return how often two seeds answer the same item alike, the mean over all pairs of seeds; None below two seeds.

    ``answers`` [seeds, items] are what each seed answered, right or wrong.
    """
    pairs = list(combinations(answers, 2))
    if not pairs or not answers[0]:
        return None
    return fmean(fmean(a == b for a, b in zip(one, other, strict=True)) for one, other in pairs)
