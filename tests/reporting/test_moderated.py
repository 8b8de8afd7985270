"""Variances moderated by each other, on variances whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.reporting.statistics.components import Part, p_value
from bench.reporting.statistics.moderated import moderated, prior_freedom


def estimated(truths, freedom, generator):
    """Return what ``freedom + 1`` normal draws would have estimated of each true variance."""
    draws = truths * generator.chisquare(freedom, len(truths)) / freedom
    return [Part("seeds", float(variance), freedom) for variance in draws]


def unalike(prior, count, generator):
    """Return true variances that are around 1 as `prior` degrees of freedom leave them."""
    return prior / generator.chisquare(prior, count)


@pytest.mark.parametrize("prior", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("freedom", [2, 4, 9])
def test_how_alike_variances_are_is_found(prior, freedom):
    generator = np.random.default_rng(0)
    found = prior_freedom(estimated(unalike(prior, 20_000, generator), freedom, generator))
    assert found == pytest.approx(prior, rel=0.25)


def test_variances_that_are_equal_speak_for_each_other():
    generator = np.random.default_rng(0)
    parts = estimated(np.full(2000, 3.0), 2, generator)
    prior = prior_freedom(parts)
    assert prior > 30
    shared = moderated(parts, prior, most=10)
    assert np.ptp([part.variance for part in shared]) < 0.1 * np.ptp([part.variance for part in parts])
    assert np.mean([part.variance for part in shared]) == pytest.approx(3.0, rel=0.1)
    assert {part.freedom for part in shared} == {10}


def test_variances_that_are_far_apart_speak_for_themselves():
    parts = [Part("seeds", variance, 9) for variance in (1e-6, 1e-4, 1e-2, 1.0)]
    found = moderated(parts, prior_freedom(parts), most=27)
    for part, own in zip(found, parts, strict=True):
        assert 0.5 < part.variance / own.variance < 2
        assert 9 < part.freedom < 10


@pytest.mark.parametrize("prior", [2.0, 8.0, 1e6])
@pytest.mark.parametrize("freedom", [2, 4])
def test_p_values_are_uniform_where_there_is_no_difference(prior, freedom):
    """Of what the variances are drawn from; with a variance's own degrees of freedom they are too, but with fewer."""
    generator = np.random.default_rng(1)
    truths = unalike(prior, 4000, generator)
    parts = estimated(truths, freedom, generator)
    differences = generator.standard_normal(4000) * np.sqrt(truths)
    shared = moderated(parts, prior_freedom(parts), most=1e9)
    found = [p_value([part], value) for part, value in zip(shared, differences, strict=True)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) < 0.001) == pytest.approx(0.001, abs=0.002)


@pytest.mark.parametrize("count", [0, 1])
def test_one_variance_has_no_other_to_speak_for_it(count):
    parts = [Part("seeds", 1.0, 2)] * count
    assert moderated(parts, prior_freedom(parts), most=9) == parts
