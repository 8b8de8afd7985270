"""Where a prompt's FLOPs are counted: once a pass if examples share it, else with each of them."""

from __future__ import annotations

import numpy as np
import pytest

from bench.experiment.settings import Training
from bench.methods import methods
from bench.runs.record import TrainStep
from bench.testing.tiny import tiny_model, tiny_splits
from bench.training.costs import costs_of
from bench.training.evaluation import Pass
from bench.training.flops import Flops
from bench.training.loop import TrainingResult

STEPS, BATCH, PASSES, P = 5, 8, 2, 6


@pytest.mark.parametrize(("family", "prompts", "own"), [("llama", STEPS * PASSES, 0), ("t5", STEPS * BATCH, 1)])
def test_a_prompt_counts_where_it_is_run(family, prompts, own):
    tuned = methods.build("prompt_tuning", {"num_virtual_tokens": P}, "test").attach(
        tiny_model(family), tiny_splits(), 0
    )
    costs, flops = costs_of(tuned), Flops(tuned)
    curve = [TrainStep(step=n, loss=1.0, learning_rate=0.1, grad_norm=1.0, tokens=20) for n in range(STEPS)]
    result = TrainingResult(train_curve=curve, tokens=100, answers=STEPS * BATCH)
    settings = Training(batch_size=BATCH, gradient_accumulation_steps=PASSES)
    assert flops.training(result, settings) == costs.training(100 + P * prompts, STEPS * BATCH)
    test = Pass(np.zeros((10, 2)), np.zeros(10), answer_tokens=10, answer_bytes=30, tokens=70, answers=20, truncated=0)
    assert flops.example(test) == pytest.approx(costs.forward(7 + own * P, 2))


def test_a_run_without_training_has_no_training_flops():
    tuned = methods.build("hard_prompt", {}, "test").attach(tiny_model("llama"), tiny_splits(), 0)
    assert Flops(tuned).training(TrainingResult(), Training()) == 0
