"""How often a cell's passes run, and what that comes to."""

from __future__ import annotations

import pytest
from demo import demo_cell

from bench.planning.schedule import cost, expected


def test_a_trial_validates_as_often_as_it_is_told_and_a_final_is_tested_too():
    cell = demo_cell(training={"eval_steps": 4}, study={"trials": 1}, finals={"seeds": 2})
    found = expected(cell, steps=10, step=3.0, validation=5.0, test=7.0, answers=1.0, run=2.0)
    assert found.trial == 2 + 10 * 3 + 3 * 5  # after steps 4, 8 and 10
    assert found.final == found.trial + 7 + 1
    assert found.total == found.trial + 2 * found.final


@pytest.mark.parametrize(("pruner", "trials"), [("median", 3 + 5 * 0.75), ("none", 8)])
def test_of_the_trials_behind_the_first_ones_half_are_stopped_half_way(pruner, trials):
    cell = demo_cell(study={"trials": 8, "pruner": pruner})
    assert expected(cell, steps=10, step=1.0, validation=0.0, test=0.0).all_trials == 10 * trials


def test_nothing_is_pruned_with_several_objectives_or_without_steps():
    cell = demo_cell(study={"trials": 8, "objectives": ["score", "memory"]})
    assert expected(cell, steps=10, step=1.0, validation=0.0, test=0.0).all_trials == 10 * 8
    assert expected(demo_cell(study={"trials": 8}), steps=0, step=0.0, validation=1.0, test=0.0).all_trials == 8


def test_a_method_that_does_not_train_costs_its_evaluations():
    trained, asked = (demo_cell(methods=[name], finals={"seeds": 1}) for name in ("lora", "hard_prompt"))
    assert 0 < cost(asked).trial < cost(trained).trial
    assert cost(asked).final - cost(asked).trial == pytest.approx(cost(trained).final - cost(trained).trial)


def test_a_cell_of_a_larger_model_or_with_more_to_do_is_dearer():
    plain = cost(demo_cell()).total
    for changes in (
        {"models": ["smollm2-135m"]},
        {"study": {"trials": 60}},
        {"training": {"max_steps": 4000}},
        {"finals": {"seeds": 40}},
    ):
        assert cost(demo_cell(**changes)).total > plain
    unknown = demo_cell(models=[{"local": {"path": "/nowhere", "label": "mine"}}])
    assert cost(unknown).total > plain, "without a look at the disk, which differs between machines"
