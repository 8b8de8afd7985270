"""Weighted sums of cells, and ratios of best learning rates, against truths that are known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from bench.reporting.statistics.contrast import contrast, seeds_only, slope_weights
from bench.reporting.statistics.rates import Tried, best_rate, rate_ratio
from bench.reporting.statistics.runs import run, runs

IDS = [f"item-{item}" for item in range(80)]


def finals(scores, shift=0):
    """Scores [seeds, items]; ``shift`` gives each seed items of its own."""
    return runs([run(seed, [f"{name}-{seed * shift}" for name in IDS], row) for seed, row in enumerate(scores)])


def drawn(generator, *shares, seeds=5, spread=0.0):
    """Answers [seeds, items] for each share: items are hard for all alike, seeds move each method by themselves."""
    hard = generator.normal(0, 1, len(IDS))
    found = []
    for share in shares:
        luck = generator.normal(0, spread, (seeds, 1))
        p = scipy.stats.norm.cdf(np.sqrt(2) * scipy.stats.norm.ppf(share) - hard)
        found.append((generator.random((seeds, len(IDS))) < np.clip(p + luck, 0, 1)).astype(float))
    return found


def test_the_weights_of_a_slope_are_those_of_least_squares():
    sizes, values = [1e6, 1.35e8, 2.7e8, 5e8], [0.1, 0.4, 0.7, 0.6]
    peer = scipy.stats.linregress(np.log10(sizes), values).slope
    assert np.dot(slope_weights(sizes), values) == pytest.approx(peer)


@pytest.mark.parametrize("shift", [0, 1], ids=["one test split", "redrawn splits"])
def test_the_interval_of_a_slope_holds_the_truth(shift):
    """Three sizes, the gap of two methods goes from 0.3 to 0.1."""
    generator = np.random.default_rng(2)
    sizes, truths = [1e6, 1e7, 1e8], [(0.4, 0.7), (0.5, 0.7), (0.6, 0.7)]
    weights = slope_weights(sizes)
    held = 0
    for _ in range(100):
        answers = drawn(generator, *(share for pair in truths for share in pair), spread=0.03)
        pairs = [(finals(answers[2 * n], shift=shift), finals(answers[2 * n + 1], shift=shift)) for n in range(3)]
        weighted = zip(weights, pairs, strict=True)
        found = contrast([term for w, (one, other) in weighted for term in ((w, one), (-w, other))])
        held += 0.1 in found.interval
    assert held >= 89


def test_without_answers_or_with_too_few_seeds_there_is_no_interval():
    (ours,) = drawn(np.random.default_rng(3), 0.7)
    assert contrast([(1, finals(ours)), (-1, None)]).unknown == "no predictions"
    few = contrast([(1, finals(ours)), (-1, finals(ours[:2]))])
    assert (few.unknown, few.interval) == ("too few seeds", None)


def test_finals_that_failed_leave_nothing_to_say_of_the_others():
    """The three that ended well score far more than the other method; an unstable method is not flattered by them."""
    ours, theirs = drawn(np.random.default_rng(5), 0.9, 0.6)
    unstable = runs(finals(ours[:3]).by_seed, failed=2)
    assert contrast([(1, unstable), (-1, finals(theirs))]).unknown == "failed finals"


def test_without_single_answers_the_interval_is_wider_never_narrower():
    ours, theirs = drawn(np.random.default_rng(4), 0.7, 0.6, spread=0.02)
    bound = seeds_only([(1, ours.mean(axis=1), len(IDS)), (-1, theirs.mean(axis=1), len(IDS))])
    exact = contrast([(1, finals(ours)), (-1, finals(theirs))])
    assert bound.value == pytest.approx(exact.value)
    assert bound.interval.high - bound.interval.low > exact.interval.high - exact.interval.low


def tried(generator, peak, height=0.8, trials=16, items=500):
    """Random rates over five decades; the score falls to both sides of the best rate, 10**peak."""
    rates = 10 ** generator.uniform(-5, 0, trials)
    share = 0.2 + (height - 0.2) * np.exp(-((np.log10(rates) - peak) ** 2))
    return Tried(tuple(rates), tuple(generator.binomial(items, share) / items), items)


def test_the_best_rate_is_the_one_with_the_highest_score():
    assert best_rate(Tried((0.1, 0.01, 0.001), (0.2, 0.9, 0.5), 100)) == pytest.approx(0.01)
    assert best_rate(Tried((0.1, 0.01, 0.001), (0.9, 0.9, 0.9), 100)) == pytest.approx(0.01)


def test_the_interval_of_a_ratio_of_rates_holds_the_truth():
    generator = np.random.default_rng(5)
    found = [rate_ratio([(tried(generator, -2), tried(generator, -3))], generator) for _ in range(40)]
    assert sum(10 in one.interval for one in found) >= 35
    assert sum(1 in one.interval for one in found) <= 20


def test_a_method_that_learns_nothing_has_no_best_rate():
    generator = np.random.default_rng(6)
    for _ in range(20):
        flat = rate_ratio([(tried(generator, -2, 0.2), tried(generator, -3, 0.2))], generator)
        assert flat.interval.low < 0.3 and flat.interval.high > 3


def test_a_cell_that_lacks_an_easy_draw_is_held_against_the_other_on_the_draws_that_both_have():
    """Draws differ by 0.3, the methods by 0.05; without its partner an easy draw would count for the gap."""
    items = np.arange(80)
    easy = [0.6, 0.6, 0.6, 0.9, 0.9]
    worse = [(items < 80 * share).astype(float) for share in easy]
    better = [(items < 80 * (share + 0.05)).astype(float) for share in easy]
    short = contrast([(1, finals(better, shift=1)), (-1, finals(worse[:3], shift=1))])
    shared = contrast([(1, finals(better[:3], shift=1)), (-1, finals(worse[:3], shift=1))])
    assert (short.value, short.interval) == (shared.value, shared.interval)
    assert short.value == pytest.approx(0.05, abs=0.01)
