"""``python -m benchmarks.coverage``: do the intervals of a report hold what they promise? Simulated experiments.

The truth is known: accuracies over seeds are drawn from a beta distribution, answers from a normal variable that items
share between methods (``shared``) and between the seeds of a method (``own``).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from bench.reporting.statistics.components import over_items, over_seeds
from bench.reporting.statistics.intervals import Interval
from bench.reporting.statistics.runs import Run, Runs, run, runs
from bench.reporting.statistics.search import expected_best_band
from bench.reporting.statistics.verdict import Difference, difference, mean_interval, verdicts

CORRELATIONS = {"independent": (0.0, 0.0), "some": (0.3, 0.3), "strong": (0.6, 0.3)}
UNALIKE = (0.14, 0.13, 0.04, 0.04, 0.03, 0.02, 0.02, 0.01)
"""Standard deviations over seeds of eight methods, as they were seen on a small encoder (MiniLM, TREC-6)."""
ITEMS = tuple((f"{item:04}", 0) for item in range(1000))


@dataclass(frozen=True)
class Truth:
    """What a simulated method is."""

    accuracy: float
    seed_sd: float = 0.0


def answers(
    of: Sequence[Truth], seeds: int, items: int, correlations: tuple[float, float], generator: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Draw one experiment: for each method [seeds, items], 1 where it is right."""
    shared, own = correlations
    difficulty = np.sqrt(shared) * generator.standard_normal(items)
    found = []
    for one in of:
        accuracy = np.full(seeds, one.accuracy)
        if one.seed_sd:
            precision = one.accuracy * (1 - one.accuracy) / one.seed_sd**2 - 1
            accuracy = generator.beta(one.accuracy * precision, (1 - one.accuracy) * precision, seeds)
        noise = np.sqrt(1 - shared - own) * generator.standard_normal((seeds, items))
        drawn = difficulty + np.sqrt(own) * generator.standard_normal(items) + noise
        found.append((drawn < ndtri(accuracy)[:, None]).astype(float))
    return found


def as_runs(scores: NDArray[np.float64], stochastic: bool = True) -> Runs:
    """Return finals whose items are the same in every experiment."""
    items = ITEMS[: scores.shape[1]]
    return Runs(tuple(Run(seed, items, row) for seed, row in enumerate(scores)), stochastic)


def experiments(
    count: int, truths: Sequence[Truth], seeds: int, items: int, correlations: tuple[float, float], seed: int = 0
) -> Iterator[list[NDArray[np.float64]]]:
    """Draw that many experiments."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield answers(truths, seeds, items, correlations, generator)


def held(found: Sequence[Difference], gap: float) -> float:
    """Return the share of intervals that hold the gap."""
    return float(np.mean([one.interval is not None and gap in one.interval for one in found]))


def beyond(found: Sequence[Difference]) -> float:
    """Return how often ``beyond`` was said."""
    return float(np.mean([one.verdict == "beyond" for one in found]))


def satterthwaite(first: NDArray[np.float64], second: NDArray[np.float64], gap: float) -> bool:
    """Whether the interval by Satterthwaite's degrees of freedom, of the same parts, holds the gap."""
    parts = [over_items(first - second, 1.0), *over_seeds(first - second)]
    variance = sum(part.variance for part in parts)
    freedom = variance**2 / sum(part.variance**2 / part.freedom for part in parts)
    return float(2 * stdtr(freedom, -abs((first - second).mean() - gap) / np.sqrt(variance))) > 0.05


def bootstrapped(first: NDArray[np.float64], second: NDArray[np.float64], gap: float) -> bool:
    """Whether a percentile bootstrap of seeds alone holds the gap: all resamples, for few seeds."""
    means = (first - second).mean(axis=1)
    drawn = means[list(product(range(len(means)), repeat=len(means)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return bool(low <= gap <= high)


def pairs(count: int) -> None:
    """Two methods: coverage of the interval of their gap, and how often ``beyond`` is said where there is none."""
    sds = {"0": (0.0, 0.0), "0.01": (0.01, 0.01), "0.05": (0.05, 0.05), "0.05, 0": (0.05, 0.0)}
    for seeds in (3, 5, 10):
        rows = []
        for items, accuracy, (name, sd), kind in product((100, 500), (0.3, 0.6, 0.9), sds.items(), CORRELATIONS):
            shares = []
            for gap in (0.05, 0.0):
                truths = [Truth(accuracy, sd[0]), Truth(accuracy - gap, sd[1])]
                drawn = list(experiments(count, truths, seeds, items, CORRELATIONS[kind]))
                found = [difference(as_runs(one), as_runs(two)) for one, two in drawn]
                shares += [held(found, gap), beyond(found)]
                if gap:
                    rivals = [np.mean([satterthwaite(*one, gap) for one in drawn])]
                    rivals += [np.mean([bootstrapped(*one, gap) for one in drawn])] if seeds == 3 else []
            rows.append((shares[0], shares[3], *rivals))
            shown = " ".join(f"{rival:.3f}" for rival in rivals)
            print(
                f"{seeds:2} seeds {items} items accuracy {accuracy} sd {name:7} {kind:11} gap held {shares[0]:.3f} "
                f"beyond without gap {shares[3]:.3f} | rivals {shown}",
                flush=True,
            )
        columns = [sorted(column) for column in zip(*rows, strict=True)]
        for name, column in zip(("held", "beyond", "Satterthwaite", "bootstrap"), columns, strict=False):
            middle = column[len(column) // 2]
            print(f"== {seeds} seeds {name}: least {column[0]:.3f} median {middle:.3f} most {column[-1]:.3f}")


def false_alarms(count: int, seed_sds: Sequence[float], seeds: int) -> Iterator[bool]:
    """Yield whether any method is said to be beyond any other, where all have the same accuracy."""
    truths = [Truth(0.6, sd) for sd in seed_sds]
    for drawn in experiments(count, truths, seeds, 300, CORRELATIONS["some"]):
        found = verdicts({str(place): as_runs(one) for place, one in enumerate(drawn)})
        yield any(one.verdict == "beyond" for one in found.pairs.values())


def told_apart(count: int, seed_sds: Sequence[float], seeds: int) -> float:
    """Return how often the last method is said to be beyond the one before it, which scores 8 points less."""
    truths = [Truth(0.6, sd) for sd in seed_sds[:-1]] + [Truth(0.68, seed_sds[-1])]
    last, other = str(len(truths) - 1), str(len(truths) - 2)
    found = [
        verdicts({str(place): as_runs(one) for place, one in enumerate(drawn)}).pairs[last, other]
        for drawn in experiments(count, truths, seeds, 300, CORRELATIONS["some"])
    ]
    return beyond(found)


def others(count: int) -> None:
    """A method without seeds, no common seeds, one method's own interval, families, and the band of a search."""
    some = CORRELATIONS["some"]
    for seeds, sd in product((3, 5, 10), (0.0, 0.01, 0.05)):
        drawn = list(experiments(count, [Truth(0.6, sd), Truth(0.55)], seeds, 300, some))
        single = [difference(as_runs(one), as_runs(two[:1], False)) for one, two in drawn]
        drawn = list(experiments(count, [Truth(0.6, sd), Truth(0.55, sd)], seeds, 300, some))
        unpaired = [difference(as_runs(one[:-1] if seeds > 3 else one), as_runs(two)) for one, two in drawn]
        single_runs = [as_runs(one) for one, _ in experiments(count, [Truth(0.9, sd)] * 2, seeds, 100, some)]
        own = np.mean([0.9 in (mean_interval(of) or Interval(1, 0)) for of in single_runs])
        families = [[sd] * 6, [0.05, *[sd] * 5], UNALIKE]
        wrong = [np.mean(list(false_alarms(count, family, seeds))) for family in families]
        told = [told_apart(count, [sd] * 6, seeds), told_apart(count, UNALIKE, seeds)]
        print(
            f"{seeds:2} seeds sd {sd}: one run against seeds {held(single, 0.05):.3f}, other seeds "
            f"{held(unpaired, 0.05):.3f}, own accuracy 0.9 {own:.3f}, any of 6 equal methods beyond "
            f"{wrong[0]:.3f}, one of them with sd 0.05 {wrong[1]:.3f}, eight of unlike sd {wrong[2]:.3f}; a gap of 8 "
            f"points told between two of the 6 {told[0]:.3f}, between the quietest of the eight {told[1]:.3f}",
            flush=True,
        )
    generator = np.random.default_rng(0)
    for trials in (8, 24, 100):
        inside = 0
        for _ in range(count):
            band = expected_best_band(list(generator.beta(5, 2, trials)), (0.0, 1.0))
            at = np.linspace(0, 1, 2001)
            below = np.cumsum(at**4 * (1 - at)) / np.sum(at**4 * (1 - at))
            truth = [1 - np.trapezoid(below**n, at) for n in range(1, trials + 1)]
            inside += all(value in one for value, one in zip(truth, band, strict=True))
        print(f"band of the expected best, {trials} trials: whole curve held {inside / count:.3f}")


def few(count: int) -> None:
    """Two methods that no seed changes and that differ on few of the items, on both sides or on one alone."""
    generator = np.random.default_rng(0)
    for items, ours, theirs in product((100, 500), (0.01, 0.02, 0.05), (0.0, 0.01, 0.05)):
        found = []
        for _ in range(count):
            kind = generator.choice(3, p=[ours, theirs, 1 - ours - theirs], size=(1, items))
            pair = [as_runs((kind == side).astype(float), False) for side in (0, 1)]
            found.append(difference(*pair))
        print(
            f"{items} items, {ours * items:g} right by the first alone, {theirs * items:g} by the second: "
            f"held {held(found, ours - theirs):.3f} beyond {beyond(found):.3f}"
        )


def splits(count: int) -> None:
    """Folds and redrawn splits: two nearest-mean classifiers that see 8 and 2 features of a drawn pool of rows."""
    generator = np.random.default_rng(0)

    def score(
        rows: NDArray[np.float64], labels: NDArray[np.int64], train: NDArray[np.int64], features: int
    ) -> NDArray[np.bool_]:
        seen = rows[train][:, :features]
        means = np.stack([seen[labels[train] == label].mean(axis=0) for label in (0, 1)])
        near = ((rows[:, None, :features] - means) ** 2).sum(axis=2).argmin(axis=1)
        return near == labels

    def pool(size: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        labels = np.arange(size) % 2
        return generator.standard_normal((size, 8)) + 0.35 * labels[:, None], labels

    draws: list[tuple[int, int | None, int | None]] = [(300, None, None), (300, 100, 200), (300, 100, 16)]
    draws += [(3000, 300, train) for train in (16, 64, 256, 1024, 2700)]
    for (size, test_size, asked), count_of in product(draws, (3, 5, 10)):
        train_size = asked or size - size // count_of
        truth = []
        for _ in range(2000):
            rows, labels = pool(train_size + 4000)
            ours, theirs = (score(rows, labels, np.arange(train_size), k)[train_size:].mean() for k in (8, 2))
            truth.append(ours - theirs)
        gap, found = float(np.mean(truth)), []
        for _ in range(count):
            rows, labels = pool(size)
            order = generator.permutation(size)
            sides: tuple[list[Run], list[Run]] = ([], [])
            for number in range(count_of):
                if test_size is None:
                    test = np.sort(order[number::count_of])
                    train = np.setdiff1d(np.arange(size), test)
                else:
                    order = generator.permutation(size)
                    test, train = np.sort(order[:test_size]), order[test_size : test_size + train_size]
                for side, features in zip(sides, (8, 2), strict=True):
                    right = score(rows, labels, train, features)[test].astype(float)
                    side.append(run(number, [f"{item:04}" for item in test], right))
            folds = count_of if test_size is None else None
            found.append(difference(*(runs(side, folds=folds) for side in sides)))
        half = np.mean([(one.interval.high - one.interval.low) / 2 for one in found if one.interval])
        print(
            f"{count_of:2} {'draws' if test_size else 'folds'} of {size} rows, {train_size} to train: gap {gap:.3f} "
            f"held {held(found, gap):.3f} beyond {beyond(found):.3f}, half-width {half:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("what", nargs="*", default=["pairs", "others", "few", "splits"])
    asked = parser.parse_args()
    began = time.perf_counter()
    for part in asked.what:
        {"pairs": pairs, "others": others, "few": few, "splits": splits}[part](asked.experiments)
    print(f"{time.perf_counter() - began:.0f} s")
