"""The shared prefix: what stands before the input is computed once, not once an example.

In a causal decoder nothing before the input sees the input, so its keys and values are the same for
every example of a batch. They are computed at batch size 1 and expanded as a view over the batch;
gradients flow back through the view, summed over the examples. This is exact, not an approximation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from bench.forward.batch import Batch
from bench.forward.padded import logits_at, prompted_logits
from bench.forward.trial import agree, trial_batch, trial_prompt

KeysAndValues = list[tuple[Tensor, Tensor]]
"""One pair a layer, each [1, heads, P, head size]."""


LENGTH_DEPENDENT = ("dynamic", "longrope")
"""Rotary positions whose frequencies change once a sequence is long: what was computed of a short one is then void."""


def holds_all_positions(network: PreTrainedModel) -> bool:
    """Whether a network's past is keys and values of all positions, by what its configuration says."""
    config = network.config.get_text_config(decoder=True)
    if network.config.is_encoder_decoder or getattr(network, "_is_stateful", False):
        return False
    types = getattr(config, "layer_types", None) or ["full_attention"]
    return set(types) <= {"full_attention", "sliding_attention"}


def stays_true(network: PreTrainedModel) -> bool:
    """Whether keys and values of a short beginning are those of the same in a long input, by the configuration."""
    rotary = getattr(network.config.get_text_config(decoder=True), "rope_parameters", None) or {}
    kinds = {each.get("rope_type") for each in (rotary, *rotary.values()) if isinstance(each, dict)}
    return holds_all_positions(network) and kinds.isdisjoint(LENGTH_DEPENDENT)


def can_share(network: PreTrainedModel) -> bool:
    """Whether sharing what stands before the input is exact: by the configuration, and tried on a few tokens."""
    if not stays_true(network):
        return False
    batch, prompt = trial_batch(network), trial_prompt(network)
    return agree(
        network,
        lambda: shared_prefix_logits(network, prefix_of(network, prompt), batch),
        lambda: prompted_logits(network, prompt, batch),
    )


def prefix_of(network: PreTrainedModel, prompt: Tensor) -> KeysAndValues:
    """Run input embeddings ``prompt`` [P, E] through the network's layers and return their keys and values."""
    # A cache without the configuration keeps all positions in every layer, those with a sliding window
    # too: the attention mask still cuts the window, so the result is the same.
    cache = DynamicCache()
    mask = torch.ones(1, prompt.shape[0], dtype=torch.long, device=prompt.device)
    # The base model alone: the head would compute P rows of logits that nobody reads.
    network.base_model(
        # A copy: a family may scale its input in place (CTRL), and would scale what is trained.
        inputs_embeds=torch.stack([prompt.to(network.dtype)]),
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
    )
    return [(keys, values) for keys, values, _ in cache]


def expanded(prefix: KeysAndValues, rows: int) -> DynamicCache:
    """Return a new cache that holds ``prefix`` for each of ``rows`` examples, as views."""
    cache = DynamicCache()
    for keys, values in prefix:
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys = keys.expand(rows, -1, -1, -1)
        layer.values = values.expand(rows, -1, -1, -1)
        cache.layers.append(layer)
    return cache


def shared_prefix_logits(network: PreTrainedModel, prefix: KeysAndValues, batch: Batch) -> Tensor:
    """Return the logits [N, V] of a batch whose examples all follow ``prefix``."""
    rows, length = len(batch), prefix[0][0].shape[-2]
    mask = torch.cat([batch.attention_mask.new_ones(rows, length), batch.attention_mask], 1)
    return logits_at(
        network,
        batch.positions,
        input_ids=batch.input_ids,
        attention_mask=mask,
        past_key_values=expanded(prefix, rows),
        use_cache=True,
    )
