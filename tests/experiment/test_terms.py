from __future__ import annotations

import pytest

from bench.api import plan
from bench.core.errors import BadInput


def cautions(**changes):
    experiment = {
        "name": "terms",
        "models": ["glasslm-0.9m"],
        "datasets": ["trec6"],
        "methods": ["majority", "hard_prompt", "lora", "vera"],
        "training": {"max_steps": 20},
        **changes,
    }
    return list(plan(experiment).cautions)


def test_methods_with_the_same_budget_and_equally_wide_ranges_have_equal_terms():
    assert cautions() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training": {"max_steps": 30}}, "the cells differ in steps: 30 (lora), 20 (vera)"),
        ({"training": {"batch_size": 8}}, "the cells differ in batch size: 8 (lora), 16 (vera)"),
        ({"training": {"eval_steps": 1}}, "the cells differ in validations: every 1 steps (lora), ten a run (vera)"),
        (
            {"training": {"early_stopping_patience": 2}},
            "the cells differ in early stopping: 2 (lora), none (vera)",
        ),
        (
            {"training": {"max_length": 64}},
            "the cells differ in greatest length: 64 (lora), the context (vera)",
        ),
        ({"training": {"warmup_ratio": 0.1}}, "the cells differ in warm-up: 0.1 (lora), 0 (vera)"),
        (
            {"search": {"learning_rate": {"low": 5e-4}}},
            "the cells differ in width of the learning-rate search: a factor of 10 (lora), a factor of 100 (vera)",
        ),
    ],
)
def test_a_method_with_terms_of_its_own_is_named_with_what_the_others_have(change, said):
    (found,) = cautions(methods=["majority", {"lora": change}, "vera"])
    assert said in found


@pytest.mark.parametrize(
    ("of", "change", "said"),
    [
        ({}, {"trials": 3}, "trials: 3 (glasslm-0.9m), 10 (smollm2-135m)"),
        ({}, {"runtime": {"precision": "bfloat16"}}, "precision: bfloat16 (glasslm-0.9m), auto (smollm2-135m)"),
        (
            {"methods": ["lora"]},
            {"trials": 3},
            "trials: 3 (lora of glasslm-0.9m), 10 (vera, lora of smollm2-135m)",
        ),
    ],
)
def test_models_with_terms_of_their_own_are_named(of, change, said):
    (found,) = cautions(
        models=["glasslm-0.9m", "smollm2-135m"],
        overrides=[{"models": ["glasslm-0.9m"], **of, **change}],
    )
    assert said in found


def test_terms_as_published_are_not_checked():
    assert cautions(terms="as published", methods=["lora", {"vera": {"training": {"max_steps": 5}}}]) == []


def test_an_equal_budget_of_tokens_lets_steps_differ_but_not_the_batch():
    methods = ["lora", {"vera": {"training": {"max_steps": 5}}}]
    budget = {"budget": {"tokens": 100_000}}
    assert cautions(terms="equal tokens", study=budget, methods=methods) == []
    (found,) = cautions(terms="equal tokens", study=budget, methods=["lora", {"vera": {"training": {"batch_size": 4}}}])
    assert "batch size" in found


def test_an_equal_budget_has_to_be_said():
    with pytest.raises(BadInput, match=r"'equal seconds' needs 'study: \{budget: \{seconds"):
        cautions(terms="equal seconds")


def test_a_learning_rate_for_all_methods_is_said_to_replace_their_own():
    found = cautions(training={"learning_rate": 1e-3, "max_steps": 20}, methods=["lora", "prompt_tuning"])
    assert any("stands in place of every method's own default" in line and "prompt_tuning" in line for line in found)


def test_a_default_outside_of_its_range_is_said_not_to_be_the_first_trial():
    found = cautions(methods=[{"lora": {"search": {"rank": [2, 4]}}}, "vera"])
    assert any("the value of rank, 8, lies outside of what is searched (2, 4)" in line for line in found)


def test_the_search_of_every_built_in_method_is_equally_wide_around_its_default():
    trained = ["prompt_tuning", "p_tuning", "prefix_tuning", "lora", "adalora", "vera", "ia3", "layernorm", "bitfit"]
    assert cautions(methods=[*trained, "full_fine_tuning"]) == []


def test_an_interval_that_is_a_tenth_of_the_run_is_the_usual_one():
    training = {"max_steps": 5, "eval_steps": 1}
    assert cautions(training={"max_steps": 5}, methods=["lora", {"vera": {"training": training}}]) == []
