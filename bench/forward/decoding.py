"""Answers that grow by a token a step: with the keys and values of what stands before kept, or by the whole text again.

In a batch the examples' texts differ in length. Where keys and values are kept, the texts are run padded on the right,
as in training, and the padding then goes to the front of the cache. What an example has seen stands together from there
on, so that a layer with a sliding window looks back over its own tokens, and not over padding.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from bench.forward.batch import Batch
from bench.forward.padded import behind, embedded_behind, logits_at, plain_logits, prompted_logits
from bench.forward.shared_prefix import KeysAndValues, expanded, prefix_of, stays_true
from bench.forward.trial import agree, trial_batch, trial_prompt


class Decoding(ABC):
    """The answers to a batch of B examples, while they grow."""

    @abstractmethod
    def first(self) -> Tensor:
        """Return the float32 logits [B, V] of every answer's first token."""

    @abstractmethod
    def step(self, tokens: Tensor) -> Tensor:
        """Add a token to every answer, [B], and return the float32 logits [B, V] of the next."""

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Go on with some answers alone: [K] their indices."""


class Recomputed(Decoding):
    """The whole text again for every token: for whatever has logits.

    Args:
        logits: returns the logits [N, V] at a batch's positions.
        batch: the examples, with the last position of each asked for.
    """

    def __init__(self, logits: Callable[[Batch], Tensor], batch: Batch) -> None:
        self._logits, self._batch = logits, batch

    def first(self) -> Tensor:
        """Run the texts."""
        return self._logits(self._batch)

    def step(self, tokens: Tensor) -> Tensor:
        """Run them again, a token longer."""
        self._batch = _longer(self._batch, tokens)
        return self._logits(self._batch)

    def keep(self, rows: Tensor) -> None:
        """Leave the other examples out of the batch."""
        self._batch = Batch(**{name: each[rows] for name, each in vars(self._batch).items() if each is not None})


class CachedDecoder(Decoding):
    """A decoder that `can_cache`.

    Args:
        network: the decoder.
        batch: the examples, with the last position of each asked for.
        prompt: input embeddings [P, E] before every example.
        prefix: keys and values before every example, instead of a prompt.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        batch: Batch,
        prompt: Tensor | None = None,
        prefix: KeysAndValues | None = None,
    ) -> None:
        self._network, self._batch, self._prompt, self._prefix = network, batch, prompt, prefix
        self._takes_positions = "position_ids" in inspect.signature(network.forward).parameters
        # Without the configuration: it keeps all positions in every layer, as `prefix_of` does.
        self._cache = DynamicCache() if prefix is None else expanded(prefix, len(batch))

    def first(self) -> Tensor:
        """Run the texts, and put the padding to the front."""
        network, batch = self._network, self._batch
        before = self._cache.get_seq_length() if self._prompt is None else len(self._prompt)
        ones = batch.attention_mask.new_ones(len(batch), before)
        inputs: dict[str, Any] = {"input_ids": batch.input_ids}
        positions, mask = batch.positions, torch.cat([ones, batch.attention_mask], 1)
        if self._prompt is not None:
            inputs = behind(network, self._prompt, batch)
            positions = torch.cat([ones.new_zeros(ones.shape, dtype=torch.bool), positions], 1)
        inputs["attention_mask"] = mask
        logits = logits_at(network, positions, **inputs, past_key_values=self._cache, use_cache=True)
        self._lengths = mask.sum(1)
        padding = mask.shape[1] - self._lengths
        column = torch.arange(mask.shape[1], device=mask.device)
        self._mask = (column >= padding[:, None]).to(mask.dtype)
        if bool(padding.any()):
            _turn(self._cache, (column - padding[:, None]) % mask.shape[1])
        return logits

    def step(self, tokens: Tensor) -> Tensor:
        """Run one token of each answer."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], 1)
        positions = {"position_ids": self._lengths[:, None]} if self._takes_positions else {}
        logits: Tensor = self._network(
            input_ids=tokens[:, None],
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            **positions,
        ).logits
        self._lengths = self._lengths + 1
        return logits[:, -1].float()

    def keep(self, rows: Tensor) -> None:
        """Leave the other rows out of the cache."""
        self._cache.batch_select_indices(rows)
        self._mask, self._lengths = self._mask[rows], self._lengths[rows]


class CachedEncoderDecoder(Decoding):
    """An encoder-decoder that `can_cache`: the encoder runs once, the decoder a token a step.

    Args:
        network: the encoder-decoder.
        batch: the examples, whose decoder holds the token that every answer begins with.
        prompt: input embeddings [P, E] before every example's encoder input.
        decoder_prompt: input embeddings [D, E] before every answer.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        batch: Batch,
        prompt: Tensor | None = None,
        decoder_prompt: Tensor | None = None,
    ) -> None:
        assert batch.decoder_input_ids is not None
        self._network, self._start, self._decoder_prompt = network, batch.decoder_input_ids, decoder_prompt
        inputs: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if prompt is not None:
            inputs = behind(network, prompt, batch)
        self._mask: Tensor = inputs["attention_mask"]
        self._read: Tensor = network.get_encoder()(**inputs).last_hidden_state
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def first(self) -> Tensor:
        """Run what every answer begins with."""
        if self._decoder_prompt is None:
            return self._run(decoder_input_ids=self._start)
        return self._run(decoder_inputs_embeds=embedded_behind(self._network, self._decoder_prompt, self._start))

    def step(self, tokens: Tensor) -> Tensor:
        """Run one token of each answer."""
        return self._run(decoder_input_ids=tokens[:, None])

    def _run(self, **inputs: Tensor) -> Tensor:
        logits: Tensor = self._network(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._read),
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            **inputs,
        ).logits
        return logits[:, -1].float()

    def keep(self, rows: Tensor) -> None:
        """Leave the other rows out of the cache."""
        self._cache.batch_select_indices(rows)
        self._mask, self._read = self._mask[rows], self._read[rows]


def can_cache(network: PreTrainedModel, prompts: bool, prefixes: bool) -> bool:
    """Whether a token behind keys and values that are kept gets the logits that the whole text gives it.

    By the configuration, and tried on a few tokens.

    Args:
        network: a decoder or an encoder-decoder.
        prompts: it is to be tried behind input embeddings too.
        prefixes: these can be keys and values.
    """
    batch, prompt = trial_batch(network), trial_prompt(network) if prompts else None
    if network.config.is_encoder_decoder:
        start = torch.full((len(batch), 1), network.config.decoder_start_token_id or 0, device=network.device)
        batch = replace(batch, positions=torch.ones_like(start, dtype=torch.bool), decoder_input_ids=start)
    elif not stays_true(network):
        return False
    tokens = torch.tensor([3, 4, 5], device=network.device)

    def grown(decoding: Decoding) -> Tensor:
        first = decoding.first()
        decoding.keep(torch.tensor([0, 2], device=network.device))
        return torch.cat([first, decoding.step(tokens[:2]), decoding.step(tokens[1:])])

    def kept(prompt: Tensor | None) -> Tensor:
        if network.config.is_encoder_decoder:
            return grown(CachedEncoderDecoder(network, batch, prompt))
        if prompt is None or not prefixes:
            return grown(CachedDecoder(network, batch, prompt))
        return grown(CachedDecoder(network, batch, prefix=prefix_of(network, prompt)))

    def whole(prompt: Tensor | None) -> Tensor:
        logits = partial(plain_logits, network) if prompt is None else partial(prompted_logits, network, prompt)
        return grown(Recomputed(logits, batch))

    tried = [None] if prompt is None else [None, prompt]
    return all(agree(network, partial(kept, each), partial(whole, each)) for each in tried)


def _longer(batch: Batch, tokens: Tensor) -> Batch:
    """Return a batch with a token behind every example, whose next token is asked for."""
    tokens = tokens[:, None]
    if batch.decoder_input_ids is not None:
        ids = torch.cat([batch.decoder_input_ids, tokens], 1)
        asked = torch.cat([torch.zeros_like(batch.positions), torch.ones_like(tokens, dtype=torch.bool)], 1)
        return replace(batch, decoder_input_ids=ids, positions=asked)
    lengths = batch.attention_mask.sum(1, keepdim=True)
    mask = torch.cat([batch.attention_mask, torch.zeros_like(lengths)], 1).scatter(1, lengths, 1)
    # The last column is padding wherever it is not overwritten.
    ids = torch.cat([batch.input_ids, batch.input_ids[:, -1:]], 1).scatter(1, lengths, tokens)
    asked = torch.zeros_like(mask, dtype=torch.bool).scatter(1, lengths, True)
    return replace(batch, input_ids=ids, attention_mask=mask, positions=asked)


def _turn(cache: DynamicCache, index: Tensor) -> None:
    """Put the positions [B, L] of every row of a cache into another order."""
    for layer in cache.layers:
        for name in ("keys", "values"):
            states = getattr(layer, name)
            setattr(layer, name, states.gather(2, index[:, None, :, None].expand(*states.shape)))
