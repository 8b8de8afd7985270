"""What is predicted without weights, held against a step with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig

from bench.core.errors import BadInput, Infeasible
from bench.experiment.settings import Training
from bench.methods import methods
from bench.methods.hard_prompt import HardPrompt
from bench.planning.changes import changes
from bench.planning.devices import RESERVED, Device
from bench.planning.predict import predict
from bench.planning.trace import SEGMENTS
from bench.planning.work import Work
from bench.testing.tiny import tiny_model
from benchmarks.planning import METHODS, measured, mixed


def work_for(base, name, options=None, batch=3, tokens=12, checkpointing=False, **training):
    return of_fields(base.network.config.to_dict(), name, options, batch, tokens, checkpointing, **training)


def of_fields(fields, name, options=None, batch=3, tokens=12, checkpointing=False, **training):
    splits, tokenizer = mixed(fields, tokens)
    settings = Training(batch_size=batch, max_steps=100, **training)
    method = methods.build(name, options or {}, "test")
    return Work("tiny", fields, method, splits, tokenizer, settings, torch.float32, checkpointing)


def assert_agrees(base, work):
    found = predict(work)
    peak, flops = measured(base, work)
    assert found.step.peak == pytest.approx(peak, rel=0.01)
    assert found.step.flops == flops
    return found


@pytest.mark.parametrize("label", METHODS)
@pytest.mark.parametrize("family", ["llama", "t5", "bert"])
def test_memory_and_flops_of_a_step_are_those_of_a_real_one(family, label):
    base = tiny_model(family)
    work = work_for(base, *METHODS[label])
    try:
        predict(work)
    except Infeasible:
        with pytest.raises(Infeasible):
            measured(base, work)
    else:
        assert_agrees(base, work)


@pytest.mark.parametrize("setting", ["checkpointing", "accumulation", "adafactor", "batch", "tokens"])
def test_every_setting_that_changes_memory_is_followed(setting):
    base = tiny_model()
    changes = {
        "checkpointing": {"checkpointing": True},
        "accumulation": {"gradient_accumulation_steps": 3},
        "adafactor": {"optimizer": "adafactor"},
        "batch": {"batch": 6},
        "tokens": {"tokens": 30},
    }[setting]
    plain = assert_agrees(base, work_for(base, "full_fine_tuning"))
    changed = assert_agrees(base, work_for(base, "full_fine_tuning", **changes))
    assert changed.step.peak != plain.step.peak


@pytest.mark.parametrize("name", ["prompt_tuning", "full_fine_tuning"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_deep_model_is_what_two_shallow_ones_say(name, checkpointing):
    config = LlamaConfig(
        vocab_size=97, hidden_size=32, intermediate_size=64, num_attention_heads=4, num_hidden_layers=10
    )
    work = of_fields(config.to_dict(), name, checkpointing=checkpointing)
    short, whole = predict(work), predict(work, whole=True)
    assert (short.layers, whole.layers) == ((3, 4), (10,))
    assert short.peak == pytest.approx(whole.peak, rel=0.005)
    assert short.step.flops == whole.step.flops
    assert short.evaluation.peak == pytest.approx(whole.evaluation.peak, rel=0.005)


def test_what_lives_at_the_peak_is_told_apart():
    base = tiny_model()
    found = predict(work_for(base, "full_fine_tuning"))
    weights = 4 * base.parameters
    kinds = found.step.segments[SEGMENTS[-1]]
    buffers = sum(buffer.nbytes for buffer in base.network.buffers())
    assert kinds["weights"] == weights + buffers
    assert kinds["gradients"] == weights
    assert kinds["optimizer"] == pytest.approx(2 * weights, rel=0.01)  # and a step count each


def test_a_method_that_does_not_train_has_an_evaluation_alone():
    found = predict(work_for(tiny_model(), "hard_prompt"))
    assert found.step is None and found.evaluation.flops > 0


@pytest.mark.parametrize("at_once", [False, True])
def test_what_cannot_be_traced_is_named_with_what_to_do(at_once):
    class Reads(HardPrompt):
        def attach(self, base, dataset, seed):
            if at_once:
                base.network.get_input_embeddings().weight.numpy()
            tuned = super().attach(base, dataset, seed)
            tuned.logits = lambda batch: base.network.get_input_embeddings().weight.nonzero()
            return tuned

    work = replace(work_for(tiny_model(), "hard_prompt"), method=Reads())
    with pytest.raises(BadInput, match=r"cannot be traced without weights .*study\.trials=1"):
        predict(work)


def test_what_does_not_fit_is_told_what_would_make_it_fit():
    work = work_for(tiny_model(), "full_fine_tuning")
    found = predict(work)
    device = Device("tiny", RESERVED + 0.75 * found.peak, 1.0, 1.0, 1.0, "none")
    offered = dict(changes(work, found, device))
    lora = replace(work, method=methods.build("lora", {}, "test"))
    assert offered["LoRA in place of all weights"] == predict(lora).peak
    assert offered["both"] < found.peak
    assert next(peak for words, peak in offered.items() if "FSDP" in words) <= device.usable
