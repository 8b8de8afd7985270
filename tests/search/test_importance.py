"""Importance of hyperparameters: Optuna's own numbers, and what chance alone would show."""

from __future__ import annotations

import warnings

import numpy as np
import optuna
import pytest
from demo import demo_cell

from bench.core.distributions import Choice
from bench.search.importance import MIN_TRIALS, importances
from bench.search.space import distributions

CELL = demo_cell(methods=[{"prompt_tuning": {"search": {"init": ["random", "text", "vocab"]}}}])


def points(count, seed=0):
    """Points of the cell's space, drawn by Optuna's own random sampler."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [dict(study.ask(distributions(CELL)).params) for _ in range(count)]


def rate_matters(of):
    return [-abs(np.log10(point["learning_rate"]) + 1) for point in of]


def test_shares_are_those_of_optuna_on_the_same_trials():
    at = points(60)
    scores = rate_matters(at)
    study = optuna.create_study(direction="maximize")
    for point, score in zip(at, scores, strict=True):
        study.add_trial(optuna.trial.create_trial(value=score, params=point, distributions=distributions(CELL)))
    peer = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    found = importances(CELL, at, scores)
    assert next(iter(found)) == "learning_rate"
    assert {name: one.share for name, one in found.items()} == pytest.approx(peer)


def test_what_matters_is_told_from_chance_and_what_does_not_is_not():
    at = points(40)
    found = importances(CELL, at, rate_matters(at))
    assert found["learning_rate"].p < 0.05 < min(found["num_virtual_tokens"].p, found["init"].p)


def test_the_p_of_noise_is_below_five_percent_about_as_often_as_it_says():
    below = 0
    for seed in range(8):
        at = points(20, seed)
        below += importances(CELL, at, np.random.default_rng(seed).normal(size=20).tolist())["learning_rate"].p < 0.05
    assert below <= 2, "more than that has a probability below 0.6 %"


def test_a_metric_that_is_better_when_smaller_is_turned_round():
    at = points(40)
    lower = CELL.model_copy(update={"greater_is_better": False})
    scores = rate_matters(at)
    assert importances(lower, at, [-score for score in scores]) == importances(CELL, at, scores)


def test_too_few_trials_or_equal_scores_say_nothing():
    at = points(MIN_TRIALS)
    assert importances(CELL, at[1:], rate_matters(at[1:])) == {}
    assert importances(CELL, at, [0.5] * MIN_TRIALS) == {}


def test_it_is_silent_and_the_same_each_time():
    assert isinstance(CELL.search["init"], Choice)
    at = points(MIN_TRIALS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert importances(CELL, at, rate_matters(at)) == importances(CELL, at, rate_matters(at))
