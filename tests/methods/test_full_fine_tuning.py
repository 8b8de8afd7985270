"""Full fine-tuning and BitFit train weights of the model itself, and the base model comes back."""

from __future__ import annotations

import numpy as np
import peers
import pytest
import torch
from numerics import assert_close, assert_gradients_close
from peers import batch_of, plain_logits
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from bench.core.errors import Infeasible
from bench.experiment.settings import Training
from bench.methods import attaching
from bench.methods.bitfit import BitFit
from bench.methods.full_fine_tuning import FullFineTuning
from bench.models.local import Local
from bench.testing.tiny import (
    FAMILIES,
    assert_same_state,
    state_of,
    tiny_encoder,
    tiny_model,
    tiny_network,
    tiny_splits,
    tiny_tokenizer,
)
from bench.training.evaluation import Scorer
from bench.training.step import Stepper


def attach(base):
    return FullFineTuning().attach(base, tiny_splits(), seed=0)


def stir(tuned):
    peers.stir(tuned.trainable().values(), 0.05)
    return tuned


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
    with torch.no_grad():
        assert_close(tuned.logits(batch), plain_logits(theirs, batch))


@pytest.mark.parametrize("family", FAMILIES)
def test_load_restores_what_save_wrote_tied_or_not(family, tmp_path):
    tuned = stir(attach(tiny_model(family)))
    tuned.save(tmp_path / "model")
    saved = {name: p.detach().clone() for name, p in tuned.trainable().items()}
    stir(tuned)
    tuned.load(tmp_path / "model")
    assert all(torch.equal(p, saved[name]) for name, p in tuned.trainable().items())


PARTS = [{"last_layers": 1}, {"head_only": True}]
CHILDREN = {  # what stands beside the last of the two layers, in each family
    "llama": ("model.layers.1.", "model.norm."),
    "gpt2": ("transformer.h.1.", "transformer.ln_f."),
    "gpt_neox": ("gpt_neox.layers.1.", "gpt_neox.final_layer_norm."),
    "bloom": ("transformer.h.1.", "transformer.ln_f."),
    "opt": ("model.decoder.layers.1.", "model.decoder.final_layer_norm."),
    "gemma3": ("model.layers.1.", "model.norm."),
    "qwen2": ("model.layers.1.", "model.norm."),
    "t5": ("decoder.block.1.", "decoder.final_layer_norm."),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layers_are_those_and_the_norm_behind_them(family):
    base = tiny_model(family)
    tuned = FullFineTuning(last_layers=1).attach(base, tiny_splits(), 0)
    expected = {name for name, _ in base.network.named_parameters() if name.startswith(CHILDREN[family])}
    assert set(tuned.trainable()) == expected
    assert len({name[: len(CHILDREN[family][1])] for name in expected}) >= 2
    assert tuned.added_parameters() == 0


@pytest.mark.parametrize("options", PARTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_part_has_the_gradients_that_it_has_when_all_is_trained(family, options):
    base = tiny_model(family)
    batch = batch_of(base)
    tuned = FullFineTuning(**options).attach(base, tiny_splits(), 0)
    loss = torch.nn.functional.cross_entropy(tuned.logits(batch), batch.targets)
    loss.backward()

    network = tiny_network(family).requires_grad_(True)
    head = network.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())  # not tied
    other = torch.nn.functional.cross_entropy(plain_logits(network, batch), batch.targets)
    other.backward()

    assert_close(loss, other)
    theirs = dict(head.named_parameters() if options.get("head_only") else network.named_parameters())
    trained = tuned.trainable()
    assert trained
    assert_gradients_close({name: p.grad for name, p in trained.items()}, {name: theirs[name].grad for name in trained})


@pytest.mark.parametrize("options", PARTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_part_is_saved_alone_and_the_base_model_comes_back(family, options, tmp_path):
    base = tiny_model(family)
    base.network.to(torch.bfloat16)
    before = state_of(base.network)
    tuned = stir(FullFineTuning(**options).attach(base, tiny_splits(), 0))
    saved = {name: p.detach().clone() for name, p in tuned.trainable().items()}
    tuned.save(tmp_path)
    size = sum(file.stat().st_size for file in tmp_path.glob("*.safetensors"))
    assert size < 4 * sum(p.numel() for p in saved.values()) + 20_000
    stir(tuned)
    tuned.load(tmp_path)
    assert all(torch.equal(p, saved[name]) for name, p in tuned.trainable().items())
    tuned.detach()
    assert_same_state(base.network, before)


def test_a_tied_head_is_a_copy_and_counts_as_added():
    tied, untied = (
        FullFineTuning(head_only=True).attach(tiny_model(name), tiny_splits(), 0) for name in ("gpt2", "llama")
    )
    assert tied.added_parameters() == tied.base.network.get_input_embeddings().weight.numel()
    assert untied.added_parameters() == 0


def test_more_layers_than_there_are_are_infeasible():
    with pytest.raises(Infeasible, match="has 2 layers, fewer than 3"):
        FullFineTuning(last_layers=3).attach(tiny_model(), tiny_splits(), 0)


@pytest.mark.parametrize("options", [{"last_layers": 0}, {"last_layers": 1, "head_only": True}])
def test_what_cannot_be_is_refused(options):
    with pytest.raises(ValidationError):
        FullFineTuning(**options)


def test_bitfit_trains_the_biases_and_nothing_else():
    base = tiny_model("gpt2")
    before = state_of(base.network)
    tuned = BitFit().attach(base, tiny_splits(), 0)
    assert set(tuned.trainable()) == {name for name, _ in base.network.named_parameters() if name.endswith(".bias")}
    batch = batch_of(base)
    torch.nn.functional.cross_entropy(tuned.logits(batch), batch.targets).backward()
    assert all(p.grad.any() for name, p in tuned.trainable().items() if "c_attn" not in name)
    tuned.detach()
    assert_same_state(base.network, before)


def test_bitfit_is_infeasible_where_there_is_no_bias():
    with pytest.raises(Infeasible, match="LlamaForCausalLM has no biases"):
        BitFit().attach(tiny_model("llama"), tiny_splits(), 0)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
@pytest.mark.parametrize("method", [FullFineTuning(last_layers=1), FullFineTuning(head_only=True), BitFit()])
def test_parts_in_float32_of_a_model_in_bfloat16_are_trained_and_evaluated(method, family):
    base = tiny_model(family)
    base.network.to(torch.bfloat16)
    before = state_of(base.network)
    tuned = attaching.attach(method, base, tiny_splits(), 0)
    encoder, shown = tiny_encoder(tuned.base), tiny_splits().train[:4]
    stepper = Stepper(tuned, encoder, Training(max_steps=1), torch.bfloat16, 1)
    texts, _ = encoder.inputs(shown, None)
    step = stepper.take([(ids, encoder.label_ids[one.label]) for ids, one in zip(texts, shown, strict=True)])
    assert step.grad_norm > 0
    done = Scorer(tuned, encoder, None, 4, torch.bfloat16).run(tiny_splits().validation)
    assert np.isfinite(done.scores).all()
    assert done.scores.std() > 0
    tuned.detach()
    assert_same_state(base.network, before)


def test_bitfit_keeps_the_frozen_weights_of_norms_frozen_in_whatever_precision():
    base = tiny_model("gpt2")
    base.network.to(torch.bfloat16)
    tuned = BitFit().attach(base, tiny_splits(), 0)
    norm = base.network.transformer.ln_f
    assert norm.weight.dtype == norm.bias.dtype == torch.float32
    assert not norm.weight.requires_grad
    assert {name.rpartition(".")[2] for name in tuned.trainable()} == {"bias"}
