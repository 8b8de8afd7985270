"""Prefix tuning is PEFT's keys and values in every layer, computed once."""

from __future__ import annotations

import pytest
import torch
from numerics import assert_close
from peers import assert_peft_loads, assert_same_training_step, batch_of, pairs_of, stir
from peft import PrefixTuningConfig, get_peft_model
from pydantic import ValidationError

from bench.core.errors import Infeasible
from bench.methods.prefix_tuning import PrefixTuning
from bench.methods.tuned.prompt_tuning import SoftPrompt
from bench.testing.tiny import CAUSAL, tiny_model, tiny_network, tiny_splits

PROJECTED = [{"projection": False}, {"projection": True, "hidden_size": 8}]


def attach(base, seed=0, **options):
    return PrefixTuning(**{"num_virtual_tokens": 6} | options).attach(base, tiny_splits(), seed)


def peft_model(family, tuned, projection=False, hidden_size=None):
    config = PrefixTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=tuned.virtual_tokens,
        prefix_projection=projection,
        encoder_hidden_size=hidden_size,
    )
    model = get_peft_model(tiny_network(family), config).eval()
    model.prompt_encoder["default"].load_state_dict(tuned.encoder.state_dict())
    return model


@pytest.mark.parametrize("options", PROJECTED, ids=["plain", "projected"])
@pytest.mark.parametrize("length", [1, 20])  # of which 20 are more than Gemma's window
@pytest.mark.parametrize("family", CAUSAL)
def test_loss_and_gradients_are_those_of_peft(family, length, options):
    base = tiny_model(family)
    tuned = attach(base, num_virtual_tokens=length, **options)
    tuned.train(False)
    assert_same_training_step(base, tuned, peft_model(family, tuned, **options))


@pytest.mark.parametrize("options", PROJECTED, ids=["plain", "projected"])
@pytest.mark.parametrize("family", CAUSAL)
def test_peft_loads_a_saved_prefix_and_gives_the_same_logits(family, options, tmp_path):
    base = tiny_model(family)
    tuned = attach(base, **options)
    stir(tuned.trainable().values(), 0.3)
    assert_peft_loads(base, tuned, family, tmp_path)


@pytest.mark.parametrize("family", CAUSAL)
def test_a_text_begins_as_the_text_itself_before_the_input(family):
    base = tiny_model(family)
    encoder, pairs = pairs_of(base)
    ids = base.tokenizer("the good dog", add_special_tokens=False)["input_ids"]
    tuned = attach(base, init="text", init_text="the good dog", num_virtual_tokens=len(ids))
    text = SoftPrompt(base, base.network.get_input_embeddings()(torch.tensor(ids)))
    with torch.no_grad():
        ours, theirs = (way.logits(encoder.batch(pairs)) for way in (tuned, text))
    assert_close(ours, theirs)


def test_zero_begins_with_zeros_with_a_projection_too():
    for options in PROJECTED:
        assert attach(tiny_model(), init="zero", **options).rows().abs().max() == 0


def test_random_has_variance_one():
    rows = attach(tiny_model(), num_virtual_tokens=200).rows()
    assert rows.std().item() == pytest.approx(1, rel=0.02)


def test_evaluating_changes_no_logit():
    base = tiny_model()
    batch = batch_of(base)
    tuned = attach(base)
    with torch.no_grad():
        outside = tuned.logits(batch)
        with tuned.evaluating():
            assert_close(tuned.logits(batch), outside)


def test_a_projection_goes_on_training_where_it_was_saved(tmp_path):
    one, other = (attach(tiny_model(), seed=seed, projection=True, hidden_size=8) for seed in (1, 2))
    one.save(tmp_path)
    other.load(tmp_path)
    for name, parameter in one.trainable().items():
        assert torch.equal(parameter, other.trainable()[name])


def test_counts_are_those_of_peft():
    for family in CAUSAL:
        tuned = attach(tiny_model(family))
        assert tuned.added_parameters() == peft_model(family, tuned).get_nb_trainable_parameters()[0]


def test_an_encoder_decoder_is_infeasible_because_peft_reads_half_of_what_it_trains():
    with pytest.raises(Infeasible, match="PEFT reads only half of the keys and values that it trains"):
        attach(tiny_model("t5"))
    # If this fails, PEFT has been mended, and prefix tuning of encoder-decoders can be added.
    config = PrefixTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3)
    model = get_peft_model(tiny_network("t5"), config).eval()
    ids = torch.tensor([[5, 6, 7, 1]])
    model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.tensor([[8, 9]])).loss.backward()
    gradient = model.prompt_encoder["default"].embedding.weight.grad.view(3, 2, -1)  # layers, each keys and values
    assert gradient[:, 0].any()
    assert not gradient[:, 1].any()


@pytest.mark.parametrize(
    "options", [{"num_virtual_tokens": 0}, {"init_text": "  "}, {"projection": True, "init": "text"}]
)
def test_what_cannot_be_is_refused(options):
    with pytest.raises(ValidationError):
        PrefixTuning(**options)
