"""Forward passes that compute the logits only where they are asked for, for every family of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from bench.forward.batch import Batch


@contextmanager
def head_at(network: PreTrainedModel, positions: Tensor | tuple[int, Tensor]) -> Iterator[None]:
    """Let the output head see only the hidden states at ``positions``, so that no other logits are computed.

    A hook in front of the head, rather than a call of the backbone alone: whatever a family does
    after its head (soft-capping, scaling) stays in place.

    Args:
        network: a model with output embeddings.
        positions: bool [B, L], or a row of the batch and N positions in it; the logits come out as [1, N, V].
    """
    head = network.get_output_embeddings()

    def select(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0][positions][None], *args[1:])

    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


def logits_at(network: PreTrainedModel, positions: Tensor, **inputs: Any) -> Tensor:
    """Run the network on ``inputs`` and return its float32 logits [N, V] at ``positions``."""
    with head_at(network, positions):
        logits: Tensor = network(**inputs).logits
    return logits[0].float()


def plain_logits(network: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the logits of a batch with nothing before its input."""
    inputs: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if batch.decoder_input_ids is not None:
        inputs["decoder_input_ids"] = batch.decoder_input_ids
    return logits_at(network, batch.positions, use_cache=False, **inputs)


def prompted_logits(network: PreTrainedModel, prompt: Tensor, batch: Batch) -> Tensor:
    """Return the logits of a batch with input embeddings ``prompt`` [P, E] before every example.

    This is PEFT's way: the prompt is computed once an example. Encoder-decoders need it (the encoder
    looks both ways), and decoders whose cache is not keys and values of all positions.
    """
    rows, length = len(batch), prompt.shape[0]
    inputs = behind(network, prompt, batch)
    positions = batch.positions
    if batch.decoder_input_ids is not None:
        inputs["decoder_input_ids"] = batch.decoder_input_ids
    else:
        positions = torch.cat([positions.new_zeros(rows, length), positions], 1)
    return logits_at(network, positions, use_cache=False, **inputs)


def behind_tokens(ids: Tensor, batch: Batch) -> Batch:
    """Return a decoder's batch with the tokens ``ids`` [P] before every example."""
    before = ids.expand(len(batch), -1)
    return replace(
        batch,
        input_ids=torch.cat([before, batch.input_ids], 1),
        attention_mask=torch.cat([batch.attention_mask.new_ones(before.shape), batch.attention_mask], 1),
        positions=torch.cat([batch.positions.new_zeros(before.shape), batch.positions], 1),
    )


def class_logits(
    network: PreTrainedModel, batch: Batch, prompt: Tensor | None = None, past: Cache | None = None
) -> Tensor:
    """Return the logits [B, C] of an encoder's classification head, one row an example.

    Args:
        network: a network for sequence classification.
        batch: the examples.
        prompt: input embeddings [P, E] before every example; the head looks at the first place, which is then theirs,
            as in PEFT.
        past: keys and values before every example, instead of a prompt.
    """
    if prompt is not None:
        inputs = behind(network, prompt, batch)
    else:
        length = past.get_seq_length() if past is not None else 0
        mask = torch.cat([batch.attention_mask.new_ones(len(batch), length), batch.attention_mask], 1)
        inputs = {"input_ids": batch.input_ids, "attention_mask": mask}
        if past is not None:
            inputs["past_key_values"] = past
    logits: Tensor = network(**inputs).logits
    return logits.float()


def embedded_behind(network: PreTrainedModel, prompt: Tensor, ids: Tensor) -> Tensor:
    """Return ``[rows, P + T, E]``: the prompt ``[P, E]`` and the embeddings of ``ids`` ``[rows, T]`` behind it."""
    embedded: Tensor = network.get_input_embeddings()(ids)
    return torch.cat([prompt.to(embedded.dtype).expand(len(ids), -1, -1), embedded], 1)


def behind(network: PreTrainedModel, prompt: Tensor, batch: Batch) -> dict[str, Any]:
    """Return the inputs of a network whose examples all stand behind a prompt."""
    mask = batch.attention_mask
    return {
        "inputs_embeds": embedded_behind(network, prompt, batch.input_ids),
        "attention_mask": torch.cat([mask.new_ones(len(mask), len(prompt)), mask], 1),
    }
