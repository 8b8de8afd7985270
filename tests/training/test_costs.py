"""Memory and FLOPs by the rule, held against a count of what is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.experiment.settings import Training
from bench.methods import methods
from bench.planning.parameters import attach_weightless
from bench.runs.record import TrainStep
from bench.testing.tiny import CAUSAL, tiny_model, tiny_splits
from bench.training.costs import Flops, costs_of
from bench.training.evaluation import Pass
from bench.training.loop import TrainingResult

IDS = torch.arange(8)[None].repeat(2, 1)


def attached(name, family):
    return methods.get(name)().attach(tiny_model(family), tiny_splits(), 0)


@pytest.mark.parametrize("family", CAUSAL)
def test_a_forward_pass_takes_two_flops_a_parameter_and_token_beside_attention(family):
    tuned = attached("hard_prompt", family)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tuned.network(input_ids=IDS)
    rule = costs_of(tuned).forward_flops * IDS.numel()
    assert rule <= counter.get_total_flops() <= 1.15 * rule  # of 8 tokens attention is a small part


@pytest.mark.parametrize(("name", "family"), [("full_fine_tuning", "llama"), ("prompt_tuning", "gpt2")])
def test_a_training_step_takes_what_the_rule_says(name, family):
    tuned = attached(name, family)
    embedded = tuned.network.get_input_embeddings()(IDS)
    if name == "prompt_tuning":  # the gradient reaches the input, and no weight
        embedded = embedded.detach().requires_grad_()
    with FlopCounterMode(display=False) as counter:
        tuned.network(inputs_embeds=embedded).logits.sum().backward()
    rule = costs_of(tuned).training_flops * IDS.numel()
    assert counter.get_total_flops() == pytest.approx(rule, rel=0.15)


def test_the_memory_floor_counts_weights_gradients_and_moments():
    prompt = costs_of(attach_weightless("bloomz-560m", "prompt_tuning", {"num_virtual_tokens": 8}, "test"))
    assert prompt.memory_floor() == 4 * 559_214_592 + 16 * 8_192
    assert prompt.memory_floor(2) == 2 * 559_214_592 + 16 * 8_192
    full = costs_of(attach_weightless("bloomz-560m", "full_fine_tuning", {}, "test"))
    assert full.memory_floor() == full.memory_floor(2) == 16 * 559_214_592
    assert full.training_flops == 6 * (full.body + full.head)
    untrained = costs_of(attach_weightless("smollm2-135m", "hard_prompt", {}, "test"))
    assert (untrained.training_flops, untrained.memory_floor()) == (None, 4 * 134_515_008)
    assert costs_of(attach_weightless("t5-v1.1-small", "prompt_tuning", {}, "test")).forward_flops is None


def test_logits_at_the_answers_alone_cost_what_the_rule_says():
    tuned = attached("hard_prompt", "llama")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tuned.network(input_ids=IDS, logits_to_keep=1)
    rule = costs_of(tuned).forward(IDS.numel(), answers=len(IDS))
    assert rule <= counter.get_total_flops() <= 1.2 * rule


def test_an_encoder_decoder_runs_the_text_through_one_half_and_the_answer_through_the_other():
    tuned = attached("full_fine_tuning", "t5")
    answer = IDS[:, :2]
    with FlopCounterMode(display=False) as counter:
        tuned.network(input_ids=IDS, decoder_input_ids=answer).logits.sum().backward()
    rule = costs_of(tuned).training(IDS.numel(), answers=answer.numel())
    assert counter.get_total_flops() == pytest.approx(rule, rel=0.25)  # the text's keys for the decoder come on top


def test_nothing_is_trained_for_nothing():
    assert costs_of(attached("hard_prompt", "llama")).training(1000, 10) == 0


STEPS, BATCH, PASSES, P = 5, 8, 2, 6


@pytest.mark.parametrize(("family", "prompts", "own"), [("llama", STEPS * PASSES, 0), ("t5", STEPS * BATCH, 1)])
def test_a_prompt_counts_where_it_is_run(family, prompts, own):
    tuned = methods.build("prompt_tuning", {"num_virtual_tokens": P}, "test").attach(
        tiny_model(family), tiny_splits(), 0
    )
    costs, flops = costs_of(tuned), Flops(tuned)
    curve = [TrainStep(step=n, loss=1.0, learning_rate=0.1, grad_norm=1.0, tokens=20) for n in range(STEPS)]
    result = TrainingResult(train_curve=curve, answers=STEPS * BATCH)
    settings = Training(batch_size=BATCH, gradient_accumulation_steps=PASSES)
    assert flops.training(result, settings) == costs.training(100 + P * prompts, STEPS * BATCH)
    test = Pass(np.zeros((10, 2)), np.zeros(10), answer_tokens=10, answer_bytes=30, tokens=70, answers=20, truncated=0)
    assert flops.example(test) == pytest.approx(costs.forward(7 + own * P, 2))


def test_a_run_without_training_has_no_training_flops():
    tuned = methods.build("hard_prompt", {}, "test").attach(tiny_model("llama"), tiny_splits(), 0)
    assert Flops(tuned).training(TrainingResult(), Training()) == 0
