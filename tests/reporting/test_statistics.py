"""Every statistic against scipy, or against the enumeration that its definition is."""

from __future__ import annotations

import itertools
from statistics import fmean

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from bench.reporting.statistics.aggregate import (
    interquartile_mean,
    probability_of_improvement,
    stratified_bootstrap,
)
from bench.reporting.statistics.paired import holm, wilcoxon
from bench.reporting.statistics.runs import agreement, item_scores
from bench.reporting.statistics.search import (
    _local_tail,
    counted_score,
    expected_best,
    expected_best_band,
    learning_rate_sensitivity,
)
from bench.reporting.statistics.verdict import Difference

score = st.integers(0, 1000).map(lambda thousandth: thousandth / 1000)
seeds = st.lists(score, min_size=2, max_size=8)


def generator():
    return np.random.default_rng(0)


def test_the_stratified_bootstrap_is_the_distribution_over_all_resamples():
    tasks = [[0.1, 0.5, 0.9, 0.32], [0.2, 0.3, 0.37]]
    drawn = (itertools.product(task, repeat=len(task)) for task in tasks)
    every = [interquartile_mean([*one, *other]) for one, other in itertools.product(*drawn)]
    found = stratified_bootstrap(tasks, interquartile_mean, generator(), resamples=20_000)
    low, high = np.quantile(every, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)


def test_a_task_of_one_score_is_not_resampled():
    values = [0.1, 0.4, 0.5, 0.8, 0.9, 0.2, 0.33, 0.61]
    peer = scipy.stats.bootstrap(
        (values,),
        lambda drawn, axis: (drawn.sum(axis) + 0.7) / 9,
        method="percentile",
        n_resamples=500,
        rng=generator(),
    ).confidence_interval
    found = stratified_bootstrap([values, [0.7]], np.mean, generator(), resamples=500)
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high))


def test_the_same_generator_gives_the_same_interval_and_one_seed_a_task_gives_none():
    tasks = [[0.1, 0.5, 0.9], [0.2, 0.3]]
    one, two = (stratified_bootstrap(tasks, interquartile_mean, generator(), resamples=50) for _ in range(2))
    assert one == two
    assert stratified_bootstrap([[0.1], [0.2]], interquartile_mean, generator()) is None


@given(st.lists(st.tuples(seeds, seeds), min_size=1, max_size=3), st.booleans())
def test_probability_of_improvement_is_mann_and_whitneys_u_over_all_pairs(tasks, greater):
    first, second = zip(*tasks, strict=True)
    better, worse = (first, second) if greater else (second, first)
    expected = [
        scipy.stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)) for a, b in zip(better, worse, strict=True)
    ]
    assert probability_of_improvement(first, second, greater) == pytest.approx(np.mean(expected))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=6, max_size=10))
def test_wilcoxons_p_is_that_of_all_sign_patterns(pairs):
    """The exact test by its definition: every pattern of signs is equally likely."""
    differences = [a - b for a, b in pairs if a != b]
    assume(len(differences) >= 2)
    assume(len({abs(d) for d in differences}) == len(differences))
    ranks_ = scipy.stats.rankdata(np.abs(differences))
    rank_sums = np.array([np.dot(signs, ranks_) for signs in itertools.product((0, 1), repeat=len(ranks_))])
    seen = ranks_[np.array(differences) > 0].sum()
    expected = min(1.0, 2 * min((rank_sums <= seen).mean(), (rank_sums >= seen).mean()))
    found = wilcoxon([a / 100 for a, _ in pairs], [b / 100 for _, b in pairs])
    assert found.p == pytest.approx(expected)
    total = ranks_.sum()
    assert found.effect == pytest.approx((seen - (total - seen)) / total)


def test_too_few_data_sets_have_no_test_and_equal_scores_no_effect():
    assert wilcoxon([0.9] * 5, [0.1] * 5) is None
    equal = wilcoxon([0.5] * 6, [0.5] * 6)
    assert (equal.p, equal.effect) == (1.0, 0.0)


def test_holms_correction_is_the_step_down_rule():
    # The example of statsmodels' and R's documentation (p.adjust): sorted 0.01, 0.02, 0.03, 0.04, 0.05.
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.04, 0.01]) == pytest.approx([0.04, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_rejects_what_the_closed_testing_of_bonferroni_rejects(values):
    """Holm's adjusted p is the largest Bonferroni p of all sets of hypotheses that hold this one."""
    sets = [s for n in range(1, len(values) + 1) for s in itertools.combinations(range(len(values)), n)]
    for place, found in enumerate(holm(values)):
        closed = max(min(1.0, len(s) * min(values[i] for i in s)) for s in sets if place in s)
        assert found == pytest.approx(closed)


@settings(max_examples=40)
@given(st.lists(score, min_size=1, max_size=5), st.booleans())
def test_the_expected_best_is_the_mean_over_all_draws(scores, greater):
    best = max if greater else min
    for trials in range(1, len(scores) + 1):
        every = [best(drawn) for drawn in itertools.product(scores, repeat=trials)]
        assert expected_best(scores, trials, greater) == pytest.approx(fmean(every))


def test_the_expected_best_is_not_extrapolated():
    with pytest.raises(ValueError, match="between 1 and 2"):
        expected_best([0.1, 0.2], 3)


def test_learning_rate_sensitivity_is_the_mean_loss_over_the_log_range():
    rates, scores = [1e-4, 1e-3, 1e-2, 1e-2], [0.5, 0.9, 0.7, 0.1]
    at = np.linspace(-4, -2, 200_001)
    interpolated = np.interp(at, [-4, -3, -2], [0.5, 0.9, 0.7])
    assert learning_rate_sensitivity(rates, scores) == pytest.approx(0.9 - interpolated.mean(), abs=1e-6)
    losses = [1 - value for value in scores]
    assert learning_rate_sensitivity(rates, losses, greater_is_better=False) == pytest.approx(0.15)
    assert learning_rate_sensitivity([1e-3] * 5, [0.1] * 5) is None


def test_sensitivity_is_of_the_whole_declared_range():
    rates, scores = [1e-4, 1e-3, 1e-2], [0.5, 0.9, 0.1]
    at = np.linspace(-6, -1, 500_001)
    interpolated = np.interp(at, [-4, -3, -2], scores)  # constant beyond the outermost trials
    found = learning_rate_sensitivity(rates, scores, declared=(1e-6, 1e-1))
    assert found == pytest.approx(0.9 - interpolated.mean(), abs=1e-5)
    inside = learning_rate_sensitivity(rates, scores, declared=(10**-3.5, 10**-2.5))
    assert inside == pytest.approx(
        0.9 - np.interp(np.linspace(-3.5, -2.5, 200_001), [-4, -3, -2], scores).mean(), abs=1e-5
    )


@pytest.mark.parametrize(
    ("status", "best", "last", "counts"),
    [
        ("ok", 0.8, 0.7, 0.8),
        ("pruned", 0.6, 0.4, 0.4),
        ("pruned", None, None, 0.25),
        ("diverged", 0.6, 0.5, 0.25),
        ("error", None, None, None),
        ("killed", 0.6, 0.5, None),
    ],
)
def test_a_pruned_trial_counts_with_its_last_score_and_a_diverged_one_as_chance(status, best, last, counts):
    assert counted_score(status, best, last, chance=0.25) == counts


@pytest.mark.parametrize("trials", [1, 5, 24])
def test_the_band_holds_the_whole_curve_of_the_expected_best(trials):
    """Trials are beta(5, 2): E max of n = 1 - integral of the distribution function to the n."""
    at = np.linspace(0, 1, 2001)
    truth = [1 - np.trapezoid(scipy.stats.beta.cdf(at, 5, 2) ** n, at) for n in range(1, trials + 1)]
    rng, held = generator(), 0
    for _ in range(200):
        band = expected_best_band(list(rng.beta(5, 2, trials)), (0.0, 1.0))
        held += all(value in one for value, one in zip(truth, band, strict=True))
    assert held >= 0.95 * 200


def test_the_order_statistics_behind_the_band_are_all_inside_in_95_percent():
    """The tail of each is found by simulation; another simulation has to agree."""
    place = np.arange(1, 25)
    uniform = np.sort(np.random.default_rng(1).random((10_000, 24)), axis=1)
    tail = _local_tail(24, 0.95)
    low, high = (scipy.stats.beta.ppf(at, place, 25 - place) for at in (tail / 2, 1 - tail / 2))
    assert ((uniform > low) & (uniform < high)).all(axis=1).mean() == pytest.approx(0.95, abs=0.007)


@settings(max_examples=30, deadline=None)
@given(st.lists(score, min_size=1, max_size=8))
def test_the_band_holds_the_estimate_and_is_mirrored_where_lower_is_better(scores):
    band = expected_best_band(scores, (0.0, 1.0))
    for trials, one in enumerate(band, start=1):
        assert 0 <= one.low <= expected_best(scores, trials) <= one.high <= 1
    mirrored = expected_best_band([1 - value for value in scores], (0.0, 1.0), greater_is_better=False)
    assert [1 - one.high for one in mirrored] == pytest.approx([one.low for one in band])


def test_agreement_is_the_mean_over_pairs_of_seeds():
    assert agreement([["a", "b", "c"], ["a", "b", "d"], ["x", "b", "d"]]) == pytest.approx((2 / 3 + 1 / 3 + 2 / 3) / 3)
    assert agreement([["a"]]) is None
    assert agreement([[], []]) is None


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=25, max_size=40))
def test_the_items_of_another_metric_are_its_pseudo_values_moved_to_its_mean(pairs):
    def metric(predictions, references):
        return f1_score(references, predictions, average="macro", zero_division=0)

    predictions, references = map(list, zip(*pairs, strict=True))
    found = item_scores(predictions, references, metric)
    whole, count = metric(predictions, references), len(pairs)
    pseudo = [
        count * whole - (count - 1) * metric(np.delete(predictions, place), np.delete(references, place))
        for place in range(count)
    ]
    assert found.mean() == pytest.approx(whole)
    assert np.allclose(found - found.mean(), pseudo - np.mean(pseudo))


def test_the_variance_of_macro_f1_over_items_is_that_of_the_bootstrap():
    rng = generator()
    references = rng.integers(4, size=400)
    predictions = np.where(rng.random(400) < 0.7, references, rng.integers(4, size=400))
    found = item_scores(
        predictions.tolist(), references.tolist(), lambda ours, true: f1_score(true, ours, average="macro")
    )
    peer = scipy.stats.bootstrap(
        (references, predictions),
        lambda true, ours: f1_score(true, ours, average="macro"),
        paired=True,
        vectorized=False,
        n_resamples=300,
        method="percentile",
        rng=generator(),
    ).standard_error
    assert found.std(ddof=1) / 400**0.5 == pytest.approx(peer, rel=0.1)  # 300 resamples: 4 %


def test_the_items_of_accuracy_are_right_or_wrong():
    assert item_scores([0, 1, 2], [0, 2, 2]).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("verdict", "value", "outcome"),
    [
        ("beyond", 0.4, "win"),
        ("beyond", -0.4, "loss"),
        ("within", 0.1, "tie"),
        ("too few seeds", 0.4, "undecided"),
        ("no predictions", None, "undecided"),
    ],
)
def test_only_what_is_beyond_chance_is_won_or_lost(verdict, value, outcome):
    between = Difference(value, None, None, None, verdict)
    assert between.outcome() == outcome
    lower = {"win": "loss", "loss": "win"}.get(outcome, outcome)
    assert between.outcome(greater_is_better=False) == lower
    if value is not None:
        assert between.flipped().outcome() == lower
