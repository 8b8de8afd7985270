"""The packed row and the shared prefix give what repeating the prompt for every example gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import CAUSAL, tiny_network
from torch.nn.functional import cross_entropy

from bench.methods.base import Batch
from bench.methods.forward import prompted_logits
from bench.methods.packed import MAX_PACKED_TOKENS, can_pack, fits, packed_logits
from bench.methods.shared_prefix import prefix_of, shared_prefix_logits


def ragged_batch(lengths: list[int], seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths)
    mask = (torch.arange(width)[None] < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(4, 100, mask.shape, generator=generator) * mask
    # Any positions may be asked for, the last real one of each example among them.
    positions = (torch.rand(mask.shape, generator=generator) < 0.3) & mask.bool()
    positions[torch.arange(len(lengths)), torch.tensor(lengths) - 1] = True
    targets = torch.randint(4, 100, (int(positions.sum()),), generator=generator)
    return Batch(ids, mask, positions, targets)


def prompt_of(length: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(length, width, generator=torch.Generator().manual_seed(seed)).requires_grad_(True)


def loss_and_gradient(logits: torch.Tensor, batch: Batch, prompt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    loss = cross_entropy(logits, batch.targets)
    (gradient,) = torch.autograd.grad(loss, prompt)
    return loss.detach(), gradient


@pytest.mark.parametrize("family", CAUSAL)
@settings(max_examples=6, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    virtual=st.integers(1, 7),
    seed=st.integers(0, 2**16),
)
def test_a_prompt_computed_once_gives_the_loss_and_gradient_of_one_computed_for_every_example(
    family: str, lengths: list[int], virtual: int, seed: int
) -> None:
    network = tiny_network(family)
    batch = ragged_batch(lengths, seed)
    prompt = prompt_of(virtual, network.get_input_embeddings().weight.shape[1], seed)

    loss, gradient = loss_and_gradient(prompted_logits(network, prompt, batch), batch, prompt)
    ways = {"shared": shared_prefix_logits(network, prefix_of(network, prompt), batch)}
    if can_pack(network):
        ways["packed"] = packed_logits(network, prompt, batch)

    for name, logits in ways.items():
        other_loss, other_gradient = loss_and_gradient(logits, batch, prompt)
        torch.testing.assert_close(other_loss, loss, rtol=1e-5, atol=0, msg=f"loss, {name}")
        gap = (other_gradient - gradient).norm() / gradient.norm()
        assert gap < 1e-4, f"gradient, {name}: {gap:.1e}"


def test_every_family_with_positions_of_its_own_is_packed_and_alibi_is_not() -> None:
    packed = {family for family in CAUSAL if can_pack(tiny_network(family))}

    assert packed == set(CAUSAL) - {"bloom"}


def test_a_batch_that_a_sliding_window_would_cut_is_not_packed() -> None:
    network = tiny_network("gemma3")
    window = network.config.sliding_window

    assert fits(network, window - 6, ragged_batch([6, 4], 0))
    assert not fits(network, window - 5, ragged_batch([6, 4], 0))


def test_a_long_batch_is_not_packed() -> None:
    network = tiny_network("llama")
    batch = ragged_batch([100, 100, 100], 0)

    assert fits(network, MAX_PACKED_TOKENS - 300, batch)
    assert not fits(network, MAX_PACKED_TOKENS - 299, batch)
