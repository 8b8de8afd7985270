"""LoRA is peft's own, behind our contract."""

from __future__ import annotations

import pytest
import torch
from numerics import assert_close
from peers import batch_of, plain_logits, stir
from peft import LoraConfig, get_peft_model

from bench.core.errors import Infeasible
from bench.methods.lora import Lora
from bench.testing.tiny import (
    FAMILIES,
    assert_same_state,
    state_of,
    tiny_model,
    tiny_network,
    tiny_splits,
)

DECODER_LAYERS = {"llama": 7, "gpt2": 4, "gpt_neox": 4, "bloom": 4, "opt": 6, "gemma3": 7, "qwen2": 7}


def attach(base, seed=0, **options):
    return Lora(**options).attach(base, tiny_splits(), seed)


def stirred(tuned):
    stir(tuned.trainable().values())
    return tuned


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_adapter_changes_nothing(family):
    base = tiny_model(family)
    batch = batch_of(base)
    with torch.no_grad():
        adapted = attach(base).logits(batch)
        untouched = attach(tiny_model(family)).base.network
        expected = plain_logits(tiny_network(family), batch)
    assert untouched is not base.network
    assert_close(adapted, expected)


@pytest.mark.parametrize(("family", "layers"), DECODER_LAYERS.items())
def test_all_linear_layers_but_the_head_are_adapted(family, layers):
    names = attach(tiny_model(family)).trainable()
    assert sum("lora_A" in name for name in names) == 2 * layers
    assert not any("lm_head" in name or "embed_out" in name for name in names)


def test_only_the_adapter_gets_a_gradient():
    base = tiny_model()
    tuned = stirred(attach(base))
    tuned.logits(batch_of(base)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in tuned.trainable().values())
    assert [name for name, p in base.network.named_parameters() if p.grad is not None] == list(tuned.trainable())


@pytest.mark.parametrize("family", FAMILIES)
def test_detaching_gives_the_base_model_back_and_a_second_attach_is_like_the_first(family):
    base = tiny_model(family)
    batch = batch_of(base)
    before = state_of(base.network)

    tuned = attach(base, seed=3)
    tuned.train(True)
    stirred(tuned)
    first = {name: p.detach().clone() for name, p in tuned.trainable().items()}
    logits = tuned.logits(batch)
    tuned.detach()
    assert_same_state(base.network, before)

    tuned = stirred(attach(base, seed=3))
    second = tuned.trainable()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(tuned.logits(batch), logits)


def test_the_seed_decides_the_initial_adapter():
    def first(seed):
        return next(iter(attach(tiny_model(), seed=seed).trainable().values()))

    torch.manual_seed(1)
    one = first(1)
    torch.manual_seed(2)
    assert torch.equal(one, first(1))
    assert not torch.equal(one, first(2))


def test_updates_are_scaled_by_alpha_over_rank_and_alpha_is_twice_the_rank_by_default():
    def scale(**options):
        tuned = attach(tiny_model(), **options)
        return {m.scaling["default"] for m in tuned.adapted.modules() if hasattr(m, "lora_A")}

    assert scale(rank=4) == {2.0}
    assert scale(rank=4, alpha=2) == {0.5}


def test_dropout_is_on_in_training_and_off_in_evaluation():
    base = tiny_model()
    batch = batch_of(base)
    tuned = stirred(attach(base, dropout=0.5))
    with torch.no_grad():
        tuned.train(True)
        assert not torch.equal(tuned.logits(batch), tuned.logits(batch))
        tuned.train(False)
        assert torch.equal(tuned.logits(batch), tuned.logits(batch))


def test_the_same_adapter_by_peft_alone_trains_to_the_same_weights():
    base = tiny_model()
    batch = batch_of(base)
    tuned = attach(base, seed=0, rank=4)
    torch.manual_seed(0)
    theirs = get_peft_model(
        tiny_network(), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    other = {name: p for name, p in theirs.named_parameters() if p.requires_grad}

    def train(parameters, logits):
        optimizer = torch.optim.AdamW(parameters, lr=1e-2)
        for _ in range(5):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits(), batch.targets).backward()
            optimizer.step()

    train(tuned.trainable().values(), lambda: tuned.logits(batch))
    train(other.values(), lambda: plain_logits(theirs, batch))
    for (name, ours), peer in zip(tuned.trainable().items(), other.values(), strict=True):
        assert_close(ours, peer, what=name)


def test_target_modules_that_match_nothing_are_infeasible_and_leave_no_trace():
    base = tiny_model()
    before = state_of(base.network)
    with pytest.raises(Infeasible, match="no_such_layer"):
        attach(base, target_modules=("no_such_layer",))
    assert_same_state(base.network, before)
