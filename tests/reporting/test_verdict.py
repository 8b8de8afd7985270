"""The verdict: each form against scipy or the analysis of variance, the whole against simulated experiments."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.reporting.statistics.components import Part, critical, over_splits, p_value, standard_error
from bench.reporting.statistics.resolution import discordance, planned_resolution
from bench.reporting.statistics.runs import run, runs
from bench.reporting.statistics.verdict import difference, mean_interval, verdicts
from benchmarks.coverage import (
    CORRELATIONS,
    UNALIKE,
    Truth,
    answers,
    as_runs,
    beyond,
    experiments,
    false_alarms,
    held,
    told_apart,
)


def generator():
    return np.random.default_rng(0)


def ids(count, first=0):
    return [f"{item:04}" for item in range(first, first + count)]


def fixed(scores):
    """A method that no seed changes: one run."""
    return as_runs(np.asarray([scores], dtype=float), stochastic=False)


def some_of(right, of=100):
    return [1.0] * right + [0.0] * (of - right)


def test_without_seeds_it_is_students_paired_test_over_items():
    first, second = generator().normal(size=(2, 40))
    peer = scipy.stats.ttest_rel(first, second)
    found = difference(fixed(first), fixed(second), bounds=None)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.p == pytest.approx(peer.pvalue)
    low, high = peer.confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))


def test_where_items_do_not_matter_it_is_students_paired_test_over_seeds():
    first, second = generator().normal(size=(2, 5))
    peer = scipy.stats.ttest_rel(first, second)
    found = difference(*(as_runs(np.tile(side[:, None], 30)) for side in (first, second)), bounds=None)
    assert found.p == pytest.approx(peer.pvalue)
    low, high = peer.confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))


def test_its_variance_is_that_of_a_crossed_analysis_of_variance():
    """Mean squares of seeds, items and residual by least squares on indicator columns."""
    scores = generator().normal(size=(4, 25)) + generator().normal(size=(4, 1)) + generator().normal(size=25)
    seeds, items = np.indices(scores.shape).reshape(2, -1)
    columns = np.hstack([np.eye(4)[seeds], np.eye(25)[items]])

    def left(design):
        return (
            float(np.linalg.lstsq(design, scores.ravel())[1].sum())
            if design.shape[1] < 29
            else float(((scores.ravel() - design @ np.linalg.lstsq(design, scores.ravel())[0]) ** 2).sum())
        )

    error = left(columns)
    of_seeds = (left(columns[:, 4:]) - error) / 3
    of_items = (left(columns[:, :4]) - error) / 24
    expected = (of_seeds + of_items - error / (3 * 24)) / scores.size
    found = difference(as_runs(scores), fixed(np.zeros(25)), bounds=None)
    assert sum(part.variance for part in found.parts) == pytest.approx(expected)


def test_one_item_in_a_hundred_is_within_though_no_seed_moves_the_scores():
    found = difference(as_runs(np.array([some_of(21)] * 3)), as_runs(np.array([some_of(20)] * 3)))
    assert found.value == pytest.approx(0.01)
    assert found.verdict == "within"
    assert found.interval.low < 0 < found.interval.high


def test_seeds_that_agree_in_score_but_not_in_their_answers_are_not_certain_either():
    rng = generator()
    for _ in range(20):
        ours, theirs = (np.array([rng.permutation(some_of(right)) for _ in range(3)]) for right in (21, 20))
        assert difference(as_runs(ours), as_runs(theirs)).verdict == "within"


def test_the_same_answers_still_leave_a_gap_possible():
    found = difference(fixed(some_of(60)), fixed(some_of(60)))
    assert found.p == 1.0
    assert 0.02 < found.interval.high < 0.04  # "rule of three": 3 of 100 items


def test_the_verdict_does_not_depend_on_the_order_of_items_or_runs():
    drawn = answers([Truth(0.6, 0.05), Truth(0.5)], 3, 50, (0.3, 0.3), generator())
    shuffled = generator().permutation(50)
    names = ids(50)
    one = difference(*(runs([run(seed, names, row) for seed, row in enumerate(side)]) for side in drawn))
    ours = runs([run(seed, [names[i] for i in shuffled], drawn[0][seed][shuffled]) for seed in (2, 0, 1)])
    assert difference(ours, as_runs(drawn[1])).interval == one.interval


def test_a_text_that_stands_twice_in_the_test_split_is_two_items():
    assert run(0, ["a", "b", "a"], [0.0, 1.0, 1.0]).items == (("a", 0), ("a", 1), ("b", 0))
    with pytest.raises(ValueError, match="a score for each of 2 items, found 3"):
        run(0, ["a", "b"], [1.0, 1.0, 1.0])


def test_pairing_by_seed_takes_out_what_a_seed_does_to_both():
    noise = generator().normal(0, 0.2, size=(5, 1))
    ours, theirs = np.clip(0.5 + noise + generator().normal(0, 0.01, (5, 50)), 0, 1), np.clip(0.4 + noise, 0, 1)
    theirs = np.tile(theirs, 50)
    paired = difference(as_runs(ours), as_runs(theirs))
    others = runs([run(seed + 10, ids(50), row) for seed, row in enumerate(theirs)])
    assert paired.verdict == "beyond"
    assert difference(as_runs(ours), others).verdict == "within"


def test_the_variance_over_splits_is_nadeau_and_bengios():
    means = [0.1, 0.14, 0.09, 0.2, 0.11]
    part = over_splits(means, 1 / 5)  # 100 test rows, 400 to train
    assert part.variance == pytest.approx((1 / 5 + 100 / 400) * np.var(means, ddof=1))
    peer = scipy.stats.ttest_1samp(means, 0.0)
    assert p_value([over_splits(means, 0.0)], fmean(means)) == pytest.approx(peer.pvalue)


def folds(scores):
    """Scores [folds, items of each]."""
    size = len(scores[0])
    return runs([run(k, ids(size, k * size), row) for k, row in enumerate(scores)], folds=len(scores))


def test_folds_are_paired_and_corrected_for_the_training_rows_that_they_share():
    scores = generator().normal(size=(2, 5, 30)) + generator().normal(0, 2, (5, 1))
    found = difference(folds(scores[0]), folds(scores[1]), bounds=None)
    between = (scores[0] - scores[1]).mean(axis=1)
    expected = max((1 / 5 + 1 / 4) * between.var(ddof=1), (scores[0] - scores[1]).var(ddof=1) / 150)
    assert standard_error(found.parts) ** 2 == pytest.approx(expected)
    assert [part.freedom for part in found.parts] == [4]


def test_equal_folds_do_not_make_a_gap_certain():
    ours = np.array([[1.0] * 12 + [0.0] * 18] * 3)
    theirs = np.array([[1.0] * 11 + [0.0] * 19] * 3)
    assert difference(folds(ours), folds(theirs)).verdict == "within"


def test_other_test_items_are_held_against_each_other_unpaired():
    drawn = answers([Truth(0.6), Truth(0.6)], 3, 50, (0.5, 0.3), generator())
    moved = runs([run(seed, ids(50, 500), row) for seed, row in enumerate(drawn[1])])
    paired, unpaired = (difference(as_runs(drawn[0]), other) for other in (as_runs(drawn[1]), moved))
    assert unpaired.value == paired.value
    assert len(unpaired.parts) == 4
    assert standard_error(unpaired.parts) > standard_error(paired.parts)


@pytest.mark.parametrize(
    ("first", "verdict", "value"),
    [
        (None, "no predictions", None),
        (runs([]), "no predictions", None),
        (as_runs(np.ones((2, 50))), "too few seeds", 1.0),
        (as_runs(np.ones((1, 50))), "too few seeds", 1.0),
        (as_runs(np.ones((3, 19))), "too few items", 1.0),
    ],
)
def test_where_nothing_can_be_said_the_verdict_says_why(first, verdict, value):
    found = difference(first, fixed([0.0] * 50))
    assert (found.verdict, found.interval, found.p, found.value) == (verdict, None, None, value)
    assert mean_interval(first) is None


def test_without_ends_of_the_range_equal_differences_say_nothing():
    assert difference(fixed([2.0] * 30), fixed([1.0] * 30), bounds=None).verdict == "no spread"


parts = st.lists(st.builds(Part, st.just("items"), st.floats(1e-6, 1.0), st.integers(2, 500)), min_size=1, max_size=3)


@given(parts, st.floats(0.5, 0.999))
def test_the_interval_is_the_p_value_inverted(of, level):
    at = critical(of, level) * standard_error(of)
    assert p_value(of, at) == pytest.approx(1 - level, rel=1e-6)


@given(st.floats(1e-6, 1.0), st.integers(2, 50), st.floats(0, 5))
def test_one_part_has_students_p(variance, freedom, value):
    expected = 2 * scipy.stats.t.sf(value / variance**0.5, freedom)
    assert p_value([Part("seeds", variance, freedom)], value) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 2**16))
def test_a_pair_alone_is_beyond_exactly_where_its_interval_leaves_out_zero(ours, theirs, seed):
    rng = np.random.default_rng(seed)
    sides = [(rng.random((3, 60)) < right / 60).astype(float) for right in (ours, theirs)]
    found = difference(*map(as_runs, sides))
    assert (found.verdict == "within") == (0.0 in found.interval)
    assert -1 <= found.interval.low <= found.value <= found.interval.high <= 1
    own = mean_interval(as_runs(sides[0]))
    assert 0 <= own.low <= sides[0].mean() <= own.high <= 1


@pytest.mark.parametrize("right", [0, 3, 250, 500])
def test_the_interval_of_an_accuracy_is_wilsons(right):
    found = mean_interval(fixed(some_of(right, 500)))
    peer = scipy.stats.binomtest(right, 500).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=3e-4)


def test_holm_and_groups_over_all_methods():
    rng = generator()
    truths = [Truth(0.9), Truth(0.89), Truth(0.6), Truth(0.59), Truth(0.2)]
    drawn = answers(truths, 3, 400, (0.3, 0.3), rng)
    methods = {name: as_runs(scores) for name, scores in zip("abcde", drawn, strict=True)}
    found = verdicts(methods, fixed(rng.random(400) < 0.25))
    assert found.ranks == {"a": 1, "b": 1, "c": 3, "d": 3, "e": 5}
    assert found.best == ("a", "b")
    assert found.pairs["c", "a"] == found.pairs["a", "c"].flipped()
    assert all(one.corrected >= one.p for one in found.pairs.values())
    widths = sorted(one.interval.high - one.interval.low for one in found.pairs.values())
    assert found.resolution == pytest.approx((widths[9] + widths[10]) / 4), "half of the middle one of ten pairs"


def test_where_lower_is_better_the_lower_is_best():
    drawn = answers([Truth(0.3), Truth(0.9)], 3, 200, (0.3, 0.3), generator())
    found = verdicts(dict(zip("ab", map(as_runs, drawn), strict=True)), greater_is_better=False)
    assert (found.ranks, found.best) == ({"a": 1, "b": 2}, ("a",))


def test_methods_about_which_nothing_can_be_said_have_no_rank():
    known = as_runs(np.array([some_of(50)] * 3))
    found = verdicts({"a": known, "b": None, "c": as_runs(np.ones((2, 100)))}, fixed(some_of(10)))
    assert (found.ranks, found.best) == ({"a": 1}, ("a",))
    assert found.pairs["c", "b"].verdict == "no predictions"
    assert found.pairs["a", "c"].verdict == "too few seeds"


def test_a_method_alone_has_no_pairs_and_no_resolution():
    found = verdicts({"a": fixed(some_of(50))})
    assert (found.pairs, found.resolution, found.ranks) == ({}, None, {"a": 1})
    assert verdicts({}).best == ()


def test_the_planned_resolution_is_the_half_width_of_the_interval_that_follows():
    """Without correlation and with as many seeds as it takes for their number not to matter."""
    drawn = experiments(60, [Truth(0.6, 0.03), Truth(0.6, 0.03)], 10, 300, (0.5, 0.5))
    found = [difference(as_runs(one), as_runs(two)).interval for one, two in drawn]
    half = float(np.median([(one.high - one.low) / 2 for one in found]))
    correlation = (
        1 - np.mean([np.mean(a[0] != b[0]) for a, b in experiments(200, [Truth(0.6)] * 2, 1, 300, (0.5, 0.5))]) / 0.48
    )
    assert planned_resolution(10, 300, discordance(0.6, float(correlation)), 0.03) == pytest.approx(half, rel=0.1)


def test_the_planned_resolution_falls_with_seeds_and_items_and_grows_with_methods():
    at = planned_resolution(3, 100, 0.3, 0.02)
    assert planned_resolution(10, 100, 0.3, 0.02) < at
    assert planned_resolution(3, 500, 0.3, 0.02) < at
    assert planned_resolution(3, 100, 0.3, 0.02, methods=6) > at
    assert planned_resolution(2, 100, 0.3, 0.02) is None


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(
    ("sds", "items", "accuracy", "kind"),
    [
        ((0.0, 0.0), 100, 0.6, "some"),
        ((0.05, 0.05), 500, 0.6, "some"),
        ((0.02, 0.02), 100, 0.3, "independent"),
        ((0.05, 0.0), 100, 0.9, "some"),
    ],
)
def test_of_simulated_experiments_the_interval_holds_93_to_97_percent(seeds, sds, items, accuracy, kind):
    """The bounds are widened by 2.5 standard errors of 400 experiments; benchmarks/coverage.py runs 1,000 of each."""
    count = 400
    truths = [Truth(accuracy, sds[0]), Truth(accuracy - 0.05, sds[1])]
    drawn = experiments(count, truths, seeds, items, CORRELATIONS[kind])
    share = held([difference(as_runs(one), as_runs(two)) for one, two in drawn], 0.05)
    slack = 2.5 * (0.95 * 0.05 / count) ** 0.5
    assert 0.93 - slack < share < 0.97 + slack
    equal = experiments(count, [Truth(accuracy, sd) for sd in sds], seeds, items, CORRELATIONS[kind], seed=1)
    assert beyond([difference(as_runs(one), as_runs(two)) for one, two in equal]) < 0.05 + slack


@pytest.mark.parametrize(("seed_sds", "seeds"), [([0.0] * 6, 3), ([0.05] * 6, 3), (UNALIKE, 10)])
def test_of_equal_methods_one_is_beyond_another_in_at_most_5_percent(seed_sds, seeds):
    assert fmean(false_alarms(300, seed_sds, seeds)) <= 0.05


def together(cluster_sizes, count, seeds=10, correlation=0.95, sd=0.08):
    """Yield how often any method is said to be beyond another of the same accuracy, where seeds move some together."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        methods = {}
        for cluster, size in enumerate(cluster_sizes):
            shared = np.sqrt(correlation) * generator.standard_normal(seeds)
            for member in range(size):
                moved = shared + np.sqrt(1 - correlation) * generator.standard_normal(seeds)
                share = np.clip(0.6 + sd * moved, 0.01, 0.99)
                right = generator.random((seeds, 300)) < share[:, None]
                methods[f"{cluster}-{member}"] = as_runs(right.astype(float))
        yield any(one.verdict == "beyond" for one in verdicts(methods).pairs.values())


def test_methods_that_seeds_move_together_do_not_make_other_gaps_look_sure():
    assert fmean(together((6, 1, 1), 150)) <= 0.06


def test_methods_that_seeds_do_not_move_say_nothing_of_those_that_they_move():
    """Answers that all seeds give alike leave rounding where a variance is zero."""
    generator = np.random.default_rng(3)
    moving = {
        f"moving-{n}": as_runs(rows)
        for n, rows in enumerate(answers([Truth(0.6, 0.05)] * 3, 5, 300, (0.3, 0.3), generator))
    }
    alone = verdicts(moving)
    for _ in range(20):
        rows = (generator.random((2, 300)) < 0.6).astype(float)
        still = {f"still-{n}": as_runs(np.repeat(row[None], 5, axis=0)) for n, row in enumerate(rows)}
        found = verdicts({**moving, **still})
        for pair, one in alone.pairs.items():
            assert found.pairs[pair].corrected >= one.corrected  # of more pairs, and with no less variance


def test_a_single_pair_has_nothing_to_be_corrected_for():
    one, other = answers([Truth(0.6, 0.05), Truth(0.7, 0.05)], 10, 300, (0.3, 0.3), np.random.default_rng(0))
    (found,) = {
        between.corrected for between in verdicts({"one": as_runs(one), "other": as_runs(other[:3])}).pairs.values()
    }
    assert found == difference(as_runs(one), as_runs(other[:3])).p


def test_methods_that_seeds_move_far_do_not_hide_a_gap_between_others():
    assert told_apart(100, UNALIKE, 10) > 0.3
