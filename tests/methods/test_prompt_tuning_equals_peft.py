"""Our prompt tuning computes what PEFT computes, on every family, however it gets there."""

from __future__ import annotations

import pytest
import torch
from numerics import GRADIENT, assert_close
from peers import RAGGED, assert_peft_loads, batch_of, our_loss, pairs_of, peft_inputs
from peft import PromptTuningConfig, get_peft_model

from bench.forward import pathway
from bench.methods.tuned.prompt_tuning import SoftPrompt
from bench.testing.tiny import CAUSAL, FAMILIES, tiny_model, tiny_network


@pytest.fixture(params=["packed", "in two passes"])
def way(request, monkeypatch):
    """Both ways of computing the prompt once: in one row with the examples, and before them."""
    if request.param == "in two passes":
        monkeypatch.setattr(pathway, "can_pack", lambda network: False)
    return request.param


def prompt_of(length, width=32, seed=3):
    return torch.randn(length, width, generator=torch.Generator().manual_seed(seed)) * 0.5


def peft_model(family, prompt):
    config = PromptTuningConfig(
        task_type="SEQ_2_SEQ_LM" if family == "t5" else "CAUSAL_LM",
        num_virtual_tokens=len(prompt),
        num_transformer_submodules=1,
    )
    model = get_peft_model(tiny_network(family), config).eval()
    weight(model).data.copy_(prompt)
    return model


def weight(model):
    return model.prompt_encoder["default"].embedding.weight


def assert_equal_to_peft(family, prompt, texts):
    base = tiny_model(family)
    encoder, pairs = pairs_of(base, texts)
    tuned = SoftPrompt(base, prompt)
    theirs = peft_model(family, prompt)

    ours = our_loss(tuned, encoder, pairs)
    ours.backward()
    loss = theirs(**peft_inputs(base, pairs)).loss
    loss.backward()

    assert_close(ours, loss)
    gradient = weight(theirs).grad
    assert gradient.norm() > 1e-3
    assert_close(tuned.prompt.grad, gradient, GRADIENT)


@pytest.mark.parametrize("length", [1, 50, 150])
@pytest.mark.parametrize("family", CAUSAL)
def test_loss_and_gradient_of_a_ragged_batch_are_those_of_peft(family, length, way):
    assert_equal_to_peft(family, prompt_of(length), RAGGED)


@pytest.mark.parametrize("family", CAUSAL)
def test_padding_on_the_left_gives_peft_our_loss_where_positions_are_counted_by_the_mask(family, way):
    base, prompt = tiny_model(family), prompt_of(6)
    encoder, pairs = pairs_of(base)
    with torch.no_grad():
        ours = our_loss(SoftPrompt(base, prompt), encoder, pairs)
        theirs = peft_model(family, prompt)(**peft_inputs(base, pairs, side="left")).loss
    gap = float((ours - theirs).abs() / ours)
    # Elsewhere PEFT counts the padding between prompt and text as positions, so its loss depends on the longest example
    # of a batch; ours is that of every example by itself.
    assert gap < 1e-5 if family in ("bloom", "opt") else gap > 1e-5


@pytest.mark.parametrize("family", CAUSAL)
def test_loss_and_gradient_of_one_example_are_those_of_peft(family, way):
    assert_equal_to_peft(family, prompt_of(5), RAGGED[3:4])


@pytest.mark.parametrize("length", [1, 50, 150])
@pytest.mark.parametrize("texts", [RAGGED, RAGGED[:1]], ids=["ragged", "one example"])
def test_an_encoder_decoder_has_the_loss_and_gradient_of_peft(texts, length):
    assert_equal_to_peft("t5", prompt_of(length), texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_decides_the_logits(family):
    base = tiny_model(family)
    batch = batch_of(base)
    one, other = (SoftPrompt(base, prompt_of(4, seed=seed)).logits(batch) for seed in (1, 2))
    assert (one - other).abs().max() > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluating_changes_no_logit(family, way):
    base = tiny_model(family)
    batch = batch_of(base)
    tuned = SoftPrompt(base, prompt_of(7))
    with torch.no_grad():
        outside = tuned.logits(batch)
        with tuned.evaluating():
            first, again = tuned.logits(batch), tuned.logits(batch)
    assert_close(first, outside)
    assert torch.equal(first, again)


def test_evaluating_sees_the_prompt_of_now_and_forgets_it_afterwards():
    base = tiny_model()
    batch = batch_of(base)
    tuned = SoftPrompt(base, prompt_of(7, seed=1))
    seen = []
    with torch.no_grad():
        for seed in (1, 2):
            tuned.prompt.copy_(prompt_of(7, seed=seed))
            with tuned.evaluating():
                seen.append(tuned.logits(batch))
            seen.append(tuned.logits(batch))
    assert_close(seen[2], seen[3])
    assert (seen[0] - seen[2]).abs().max() > 1e-2


def test_after_twenty_steps_the_prompt_is_that_of_peft(way):
    base = tiny_model("llama")
    encoder, pairs = pairs_of(base)
    start = prompt_of(10)
    tuned, theirs = SoftPrompt(base, start), peft_model("llama", start)
    ours = torch.optim.AdamW([tuned.prompt], lr=1e-2)
    other = torch.optim.AdamW([weight(theirs)], lr=1e-2)
    for step in range(20):
        part = [pairs[step % 5], pairs[(step + 2) % 5], pairs[(step + 3) % 5]]
        ours.zero_grad()
        our_loss(tuned, encoder, part).backward()
        ours.step()
        other.zero_grad()
        theirs(**peft_inputs(base, part)).loss.backward()
        other.step()
    assert (tuned.prompt - start).abs().max() > 0.05
    assert_close(tuned.prompt, weight(theirs))


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_loads_a_saved_prompt_and_gives_the_same_logits(family, tmp_path):
    base = tiny_model(family)
    assert_peft_loads(base, SoftPrompt(base, prompt_of(6)), family, tmp_path / "adapter")


def test_the_record_says_which_way_the_forward_took():
    notes = {
        family: SoftPrompt(tiny_model(family), prompt_of(2)).notes()["forward"] for family in ("llama", "bloom", "t5")
    }
    assert notes == {"llama": "packed", "bloom": "shared prefix", "t5": "padded"}
