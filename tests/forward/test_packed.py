"""A batch in one row, with every shared beginning once, gives what the padded batch gives."""

from __future__ import annotations

import pytest
import torch
from drawn_batch import asked_of, padded
from hypothesis import given, settings
from hypothesis import strategies as st
from numerics import GRADIENT, assert_close
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from bench.forward.batch import Batch
from bench.forward.layout import Layout
from bench.forward.packed import can_pack, packed_logits
from bench.forward.padded import plain_logits, prompted_logits
from bench.forward.shared_prefix import prefix_of, shared_prefix_logits
from bench.testing.tiny import CAUSAL, tiny_network

PACKED = [family for family in CAUSAL if family != "bloom"]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Draw token rows of which some begin like the one before, as the answers to one question do."""
    rows: list[list[int]] = []
    beginning = draw(st.lists(st.integers(4, 100), max_size=4))
    for _ in range(draw(st.integers(1, 7))):
        own = draw(st.lists(st.integers(4, 100), min_size=1, max_size=14))
        kept = rows[-1][: draw(st.integers(0, len(rows[-1])))] if rows else []
        rows.append([*(kept or beginning), *own])
    return asked_of(rows, torch.Generator().manual_seed(draw(st.integers(0, 2**16))))


def exact_network(family: str) -> PreTrainedModel:
    """Return a network in float64, for batches that nobody has looked at.

    OPT's ReLU has a kink: where some batch brings a value within rounding of zero, float32 sums in another order fall
    on its other side, and the gradient is another one although nothing is wrong.
    """
    return tiny_network(family).double()


def prompt_of(network: PreTrainedModel, length: int) -> torch.Tensor:
    weight = network.get_input_embeddings().weight
    drawn = torch.randn(length, weight.shape[1], generator=torch.Generator().manual_seed(length))
    return drawn.to(weight.dtype).requires_grad_(True)


def loss_and_gradients(
    logits: torch.Tensor, batch: Batch, parameters: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    loss = cross_entropy(logits, batch.targets)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return loss.detach(), torch.cat([g.flatten() for g in gradients if g is not None])


def assert_equal(ours: tuple[torch.Tensor, torch.Tensor], theirs: tuple[torch.Tensor, torch.Tensor], way: str) -> None:
    assert_close(ours[0], theirs[0], what=f"loss, {way}")
    assert_close(ours[1], theirs[1], GRADIENT, what=f"gradient, {way}")


@pytest.mark.parametrize("family", CAUSAL)
@settings(max_examples=12, deadline=None)
@given(batch=batches(), virtual=st.integers(1, 12))
def test_a_prompt_computed_once_gives_the_loss_and_gradient_of_one_computed_for_every_example(
    family: str, batch: Batch, virtual: int
) -> None:
    network = exact_network(family)
    prompt = prompt_of(network, virtual)
    ways = {"shared": shared_prefix_logits(network, prefix_of(network, prompt), batch)}
    if family in PACKED:
        ways["packed"] = packed_logits(network, prompt, batch)
        ways["packed behind a prefix"] = packed_logits(network, None, batch, prefix_of(network, prompt))

    expected = loss_and_gradients(prompted_logits(network, prompt, batch), batch, [prompt])
    for way, logits in ways.items():
        assert_equal(loss_and_gradients(logits, batch, [prompt]), expected, way)


@pytest.mark.parametrize("family", PACKED)
@settings(max_examples=12, deadline=None)
@given(batch=batches())
def test_packed_weights_get_the_gradients_of_padded_ones(family: str, batch: Batch) -> None:
    network = exact_network(family).requires_grad_(True)
    weights = list(network.parameters())

    expected = loss_and_gradients(plain_logits(network, batch), batch, weights)
    assert_equal(loss_and_gradients(packed_logits(network, None, batch), batch, weights), expected, "packed")


@pytest.mark.parametrize("family", PACKED)
@pytest.mark.parametrize("virtual", [1, 150])
@pytest.mark.parametrize("rows", [[[5, 6, 7]], [[5, 6, 7, 8], [5, 6, 7, 9, 10], [11, 12]]])
def test_the_shortest_and_the_longest_prompt_and_a_batch_of_one(
    family: str, virtual: int, rows: list[list[int]]
) -> None:
    network = tiny_network(family)
    prompt = prompt_of(network, virtual)
    ids, mask = padded(rows)
    lengths = mask.sum(1)
    batch = Batch(ids, mask, torch.arange(mask.shape[1])[None] == lengths[:, None] - 1, lengths)

    expected = loss_and_gradients(prompted_logits(network, prompt, batch), batch, [prompt])
    assert_equal(loss_and_gradients(packed_logits(network, prompt, batch), batch, [prompt]), expected, "packed")


def test_checkpointed_layers_give_the_same_gradient() -> None:
    network = tiny_network("llama")
    prompt = prompt_of(network, 5)
    ids, mask = padded([[5, 6, 7], [8, 9, 10]])
    batch = Batch(ids, mask, mask.bool(), torch.ones(6).long())

    expected = loss_and_gradients(packed_logits(network, prompt, batch), batch, [prompt])
    network.gradient_checkpointing_enable()
    network.train()
    assert_equal(loss_and_gradients(packed_logits(network, prompt, batch), batch, [prompt]), expected, "checkpointed")


def test_every_family_with_positions_of_its_own_is_packed_and_alibi_is_not() -> None:
    assert [family for family in CAUSAL if can_pack(tiny_network(family))] == PACKED


def test_a_network_that_goes_its_own_way_is_not_packed() -> None:
    network = tiny_network("llama")
    # Positions that do not come from outside: what a family may do in its own code.
    network.model.rotary_emb.register_forward_pre_hook(
        lambda module, args, kwargs: (args, kwargs | {"position_ids": torch.arange(args[0].shape[1])[None]}),
        with_kwargs=True,
    )

    assert not can_pack(network)
    assert network.config._attn_implementation == "sdpa"


def test_shared_beginnings_stand_in_the_row_once() -> None:
    question, other = [5, 6, 7, 8, 9, 10], [5, 6, 20, 21]
    rows = [[*question, 30, 31], [*question, 32], [*question, 33, 34], other]
    ids, mask = padded(rows)

    layout = Layout.of(Batch(ids, mask, mask.bool(), mask), virtual=2)

    assert layout.tokens.tolist() == [5, 6, 7, 8, 9, 10, 30, 31, 32, 33, 34, 20, 21]
    assert layout.trunk == 4
    assert layout.groups == 2
    assert layout.depths.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 8, 9, 4, 5]
