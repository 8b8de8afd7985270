"""A prompt on both sides of an encoder-decoder: as many tokens on each as the user asked for."""

from __future__ import annotations

import pytest
import torch
from numerics import assert_close
from peers import our_loss, pairs_of

from bench.core.errors import Infeasible
from bench.methods.prompt_tuning import PromptTuning
from bench.testing.tiny import assert_same_state, state_of, tiny_model, tiny_network, tiny_splits


def attach(base, **options):
    return PromptTuning(**options).attach(base, tiny_splits(), 0)


@pytest.mark.parametrize(("virtual", "decoder"), [(5, 0), (5, 1), (3, 4)])
def test_counts_are_what_was_asked_for(virtual, decoder):
    tuned = attach(tiny_model("t5"), num_virtual_tokens=virtual, num_decoder_virtual_tokens=decoder)
    assert tuned.added_parameters() == (virtual + decoder) * 32
    assert tuned.virtual_tokens == virtual


def test_loss_and_gradient_are_those_of_the_network_on_the_joined_embeddings():
    base = tiny_model("t5")
    encoder, pairs = pairs_of(base)
    batch = encoder.batch(pairs)
    tuned = attach(base, num_virtual_tokens=3, num_decoder_virtual_tokens=4)
    loss = our_loss(tuned, encoder, pairs)
    loss.backward()

    network = tiny_network("t5")
    prompt = tuned.prompt.detach().clone().requires_grad_(True)
    total, asked = 0.0, 0
    for row, (ids, target) in enumerate(pairs):  # one by one, without padding
        decoder = torch.tensor([2, *target[:-1]])
        logits = network(
            inputs_embeds=torch.cat([prompt[:3], network.shared(torch.tensor(ids))])[None],
            decoder_inputs_embeds=torch.cat([prompt[3:], network.shared(decoder)])[None],
        ).logits[0, 4:]
        assert batch.attention_mask[row].sum() == len(ids)
        total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(target), reduction="sum")
        asked += len(target)
    (total / asked).backward()

    assert_close(loss, total / asked)
    assert prompt.grad[3:].norm() > 1e-3
    assert (tuned.prompt.grad - prompt.grad).norm() / prompt.grad.norm() < 1e-4


def test_it_is_saved_whole_and_the_base_model_comes_back(tmp_path):
    base = tiny_model("t5")
    before = state_of(base.network)
    tuned = attach(base, num_virtual_tokens=3, num_decoder_virtual_tokens=4)
    tuned.save(tmp_path)
    saved = tuned.prompt.detach().clone()
    tuned.prompt.data.add_(1)
    tuned.load(tmp_path)
    assert torch.equal(tuned.prompt, saved)
    tuned.detach()
    assert_same_state(base.network, before)


def test_a_decoder_alone_has_no_second_side():
    with pytest.raises(Infeasible, match="no encoder-decoder"):
        attach(tiny_model(), num_decoder_virtual_tokens=2)
