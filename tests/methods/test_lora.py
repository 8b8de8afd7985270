"""LoRA is peft's own, behind our contract."""

from __future__ import annotations

import pytest
import torch
from numerics import assert_close
from peft import LoraConfig, PeftModel, get_peft_model

from bench.core.errors import Infeasible
from bench.methods.lora import Lora
from bench.methods.tuned.peft_method import PeftAdapter
from bench.testing.tiny import (
    FAMILIES,
    assert_same_state,
    state_of,
    tiny_encoder,
    tiny_examples,
    tiny_model,
    tiny_network,
    tiny_splits,
)

DECODER_LAYERS = {"llama": 7, "gpt2": 4, "gpt_neox": 4, "bloom": 4, "opt": 6, "gemma3": 7, "qwen2": 7}


def batch_of(base):
    encoder = tiny_encoder(base, ("yes", "maybe"))
    examples = tiny_examples(5)
    rows, _ = encoder.inputs(examples, None)
    return encoder.batch([(ids, encoder.label_ids[e.label]) for ids, e in zip(rows, examples, strict=True)])


def attach(base, seed=0, **options):
    return Lora(**options).attach(base, tiny_splits(), seed)


def stir(tuned):
    """Give the B matrices values: they begin at zero, and the adapter would change nothing."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in tuned.trainable().items():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return tuned


@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_are_those_of_the_peft_model_at_the_positions(family):
    base = tiny_model(family)
    batch = batch_of(base)
    with torch.no_grad():
        plain = attach(base).logits(batch)
        tuned = stir(attach(tiny_model(family), rank=4))
        ours = tuned.logits(batch)
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if base.kind == "seq2seq":
            inputs["decoder_input_ids"] = batch.decoder_input_ids
        theirs = tuned.adapted(**inputs).logits[batch.positions]
    assert_close(ours, theirs)
    assert (ours - plain).abs().max() > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_adapter_changes_nothing(family):
    base = tiny_model(family)
    batch = batch_of(base)
    with torch.no_grad():
        adapted = attach(base).logits(batch)
        untouched = attach(tiny_model(family)).base.network
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if base.kind == "seq2seq":
            inputs["decoder_input_ids"] = batch.decoder_input_ids
        expected = tiny_network(family)(**inputs).logits[batch.positions]
    assert untouched is not base.network
    assert_close(adapted, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_counts_are_those_of_peft(family):
    base = tiny_model(family)
    before = base.parameters
    tuned = attach(base, rank=4)
    trainable, total = tuned.adapted.get_nb_trainable_parameters()
    assert tuned.added_parameters() == trainable > 0
    assert sum(p.numel() for p in tuned.trainable().values()) == trainable
    assert before + tuned.added_parameters() == total


@pytest.mark.parametrize(("family", "layers"), DECODER_LAYERS.items())
def test_all_linear_layers_but_the_head_are_adapted(family, layers):
    names = attach(tiny_model(family)).trainable()
    assert sum("lora_A" in name for name in names) == 2 * layers
    assert not any("lm_head" in name or "embed_out" in name for name in names)


def test_only_the_adapter_gets_a_gradient():
    base = tiny_model()
    tuned = stir(attach(base))
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
    stir(tuned)
    first = {name: p.detach().clone() for name, p in tuned.trainable().items()}
    logits = tuned.logits(batch)
    tuned.detach()
    assert_same_state(base.network, before)

    tuned = stir(attach(base, seed=3))
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
    tuned = stir(attach(base, dropout=0.5))
    with torch.no_grad():
        tuned.train(True)
        assert not torch.equal(tuned.logits(batch), tuned.logits(batch))
        tuned.train(False)
        assert torch.equal(tuned.logits(batch), tuned.logits(batch))


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_loads_a_saved_adapter_and_gives_the_same_logits(family, tmp_path):
    base = tiny_model(family)
    batch = batch_of(base)
    tuned = stir(attach(base))
    tuned.save(tmp_path / "adapter")
    theirs = PeftModel.from_pretrained(tiny_network(family), tmp_path / "adapter").eval()
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if base.kind == "seq2seq":
        inputs["decoder_input_ids"] = batch.decoder_input_ids
    with torch.no_grad():
        assert_close(tuned.logits(batch), theirs(**inputs).logits[batch.positions])


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
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    train(other.values(), lambda: theirs(**inputs).logits[batch.positions])
    for (name, ours), peer in zip(tuned.trainable().items(), other.values(), strict=True):
        assert_close(ours, peer, what=name)


def test_target_modules_that_match_nothing_are_infeasible_and_leave_no_trace():
    base = tiny_model()
    before = state_of(base.network)
    with pytest.raises(Infeasible, match="no_such_layer"):
        attach(base, target_modules=("no_such_layer",))
    assert_same_state(base.network, before)


def test_any_configuration_of_peft_that_changes_layers_in_place_works():
    from peft import IA3Config

    base = tiny_model()
    before = state_of(base.network)
    tuned = PeftAdapter(base, IA3Config(task_type="CAUSAL_LM"), seed=0)
    assert tuned.added_parameters() == tuned.adapted.get_nb_trainable_parameters()[0] > 0
    tuned.logits(batch_of(base)).square().mean().backward()
    tuned.detach()
    assert_same_state(base.network, before)
