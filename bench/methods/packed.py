"""The packed batch: prompt and examples in one row, without padding, the prompt once.

Where a batch is short, running the prompt alone and then the examples reads every weight twice. Here
both go through the layers in one pass: the row is ``prompt, example 1, example 2, ...``, a block mask
lets every example see the prompt and itself, and every example's positions go on after the prompt's.
The result is that of the shared prefix, exactly.
"""

from __future__ import annotations

import inspect

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bench.methods.base import Batch
from bench.methods.forward import logits_at
from bench.methods.shared_prefix import can_share

MAX_PACKED_TOKENS = 512
"""Tokens of a packed row. Attention over the row is quadratic, masked or not: at 512 tokens it costs a
tenth to a fifth of the layers' matrix products, which is what packing saves."""


def can_pack(network: PreTrainedModel) -> bool:
    """Whether this network takes positions and a mask of ours, so that packing is exact."""
    config = network.config.get_text_config(decoder=True)
    return (
        can_share(network)
        and "position_ids" in inspect.signature(network.forward).parameters
        # ALiBi derives its biases from a padding mask, not from positions.
        and not getattr(config, "alibi", False)
        and config._attn_implementation in ("sdpa", "eager")
    )


def fits(network: PreTrainedModel, prompt_length: int, batch: Batch) -> bool:
    """Whether this batch is worth packing, and no sliding window cuts an example from its prompt."""
    config = network.config.get_text_config(decoder=True)
    window = getattr(config, "sliding_window", None)
    if window is not None and prompt_length + batch.input_ids.shape[1] > window:
        return False
    return prompt_length + int(batch.attention_mask.sum()) <= MAX_PACKED_TOKENS


def packed_logits(network: PreTrainedModel, prompt: Tensor, batch: Batch) -> Tensor:
    """Return the logits [N, V] of a batch whose examples all follow input embeddings ``prompt`` [P, E]."""
    length = prompt.shape[0]
    real = batch.attention_mask.bool()
    embedded = network.get_input_embeddings()(batch.input_ids[real])
    row = torch.cat([prompt.to(embedded.dtype), embedded])
    device = row.device
    positions = torch.cat([torch.arange(length, device=device), length - 1 + batch.attention_mask.cumsum(1)[real]])
    # Example 0 is the prompt, which all see.
    example = torch.cat([positions.new_zeros(length), real.nonzero()[:, 0] + 1])
    causal = torch.ones(len(row), len(row), dtype=torch.bool, device=device).tril()
    allowed = causal & ((example[:, None] == example[None]) | (example[None] == 0))
    mask = torch.zeros(allowed.shape, dtype=row.dtype, device=device).masked_fill_(~allowed, torch.finfo(row.dtype).min)
    wanted = torch.cat([real.new_zeros(length), batch.positions[real]])
    return logits_at(
        network,
        wanted[None],
        inputs_embeds=row[None],
        attention_mask=mask[None, None],
        position_ids=positions[None],
        use_cache=False,
    )
