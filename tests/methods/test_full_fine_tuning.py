"""Full fine-tuning trains all weights, and the base model comes back."""

from __future__ import annotations

import pytest
import torch
from tiny import (
    FAMILIES,
    assert_same_state,
    state_of,
    tiny_encoder,
    tiny_examples,
    tiny_model,
    tiny_network,
    tiny_splits,
    tiny_tokenizer,
)
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from bench.methods.full_fine_tuning import FullFineTuning
from bench.models.local import Local


def attach(base):
    return FullFineTuning().attach(base, tiny_splits(), seed=0)


def stir(tuned):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in tuned.trainable().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return tuned


def batch_of(base):
    encoder = tiny_encoder(base)
    rows, _ = encoder.inputs(tiny_examples(4), None)
    return encoder.batch([(ids, encoder.label_ids[0]) for ids in rows])


def test_all_parameters_are_trainable_and_none_are_added():
    base = tiny_model("gpt2")  # tied: the head counts once
    tuned = attach(base)
    assert sum(p.numel() for p in tuned.trainable().values()) == base.parameters
    assert tuned.added_parameters() == 0


def test_weights_of_half_precision_are_trained_in_float32_and_come_back_in_half(tmp_path):
    base = tiny_model()
    base.network.to(torch.bfloat16)
    before = state_of(base.network)
    tuned = stir(attach(base))
    tuned.save(tmp_path / "model")
    assert {p.dtype for p in tuned.trainable().values()} == {torch.float32}
    tuned.detach()
    assert_same_state(base.network, before)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_of_a_folder_comes_back_bit_for_bit(family, dtype, tmp_path):
    # In float32 the file holds the weights as they are; in bfloat16 it does not.
    tiny_network(family).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    base = Local(path=tmp_path).load(torch.device("cpu"), dtype)
    before = state_of(base.network)
    stir(attach(base)).detach()
    assert_same_state(base.network, before)


def test_a_file_that_is_not_the_model_in_memory_does_not_decide_what_comes_back(tmp_path):
    tiny_network().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    base = Local(path=tmp_path).load(torch.device("cpu"), torch.float32)
    base.network.get_input_embeddings().weight.data.add_(1)
    before = state_of(base.network)
    stir(attach(base)).detach()
    assert_same_state(base.network, before)


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_loads_a_saved_model_and_gives_the_same_logits(family, tmp_path):
    base = tiny_model(family)
    batch = batch_of(base)
    tuned = stir(attach(base))
    tuned.save(tmp_path / "model")
    auto = AutoModelForSeq2SeqLM if base.kind == "seq2seq" else AutoModelForCausalLM
    theirs = auto.from_pretrained(tmp_path / "model").eval()
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if base.kind == "seq2seq":
        inputs["decoder_input_ids"] = batch.decoder_input_ids
    with torch.no_grad():
        torch.testing.assert_close(tuned.logits(batch), theirs(**inputs).logits[batch.positions], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_load_restores_what_save_wrote_tied_or_not(family, tmp_path):
    tuned = stir(attach(tiny_model(family)))
    tuned.save(tmp_path / "model")
    saved = {name: p.detach().clone() for name, p in tuned.trainable().items()}
    stir(tuned)
    tuned.load(tmp_path / "model")
    assert all(torch.equal(p, saved[name]) for name, p in tuned.trainable().items())
