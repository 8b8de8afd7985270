"""The packed batch: a whole batch in one row, without padding, and whatever examples share only once.

Linear layers, norms and activations see one row of real tokens: the virtual tokens, then the
examples (`Layout`). Attention alone takes the row apart again: every example's queries look at the
shared beginning and at their own tokens, so its cost grows with the examples' own lengths, not with
the square of the row. The result is that of the padded batch with the prompt before every example,
exactly. (Where a network has dropout that is switched on, what is shared is drawn once for all.)
"""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from bench.forward.batch import Batch
from bench.forward.last_layer import feed_forward_at
from bench.forward.layout import Layout
from bench.forward.padded import head_at, plain_logits
from bench.forward.shared_prefix import KeysAndValues, can_share

ATTENTION = "promptscale_packed"
"""Name of our attention in transformers; for a batch that is not packed it is ``sdpa``."""


def can_pack(network: PreTrainedModel) -> bool:
    """Whether this network can be packed exactly, with whatever adapter it carries; tried on a few tokens.

    What a family does with positions and masks is known to its own code alone (ALiBi, for one, takes
    its biases from a padding mask), so this does not trust names: it compares.
    """
    return _takes_our_attention(network) and _agrees(network)


def packed_logits(
    network: PreTrainedModel, prompt: Tensor | None, batch: Batch, prefix: KeysAndValues | None = None
) -> Tensor:
    """Return the float32 logits [N, V] of a batch, in the order of its positions.

    Args:
        network: a network that `can_pack`.
        prompt: [P, E] input embeddings that all examples follow; None for none.
        batch: the examples.
        prefix: keys and values that all examples follow, instead of a prompt.
    """
    if network.config._attn_implementation != ATTENTION:
        network.set_attn_implementation(ATTENTION)
    layout = Layout.of(
        batch, virtual=0 if prompt is None else prompt.shape[0], outside=prefix[0][0].shape[-2] if prefix else 0
    )
    embedded = network.get_input_embeddings()(layout.tokens)
    row = embedded if prompt is None else torch.cat([prompt.to(embedded.dtype), embedded])
    rows, back = layout.answers.unique(return_inverse=True)
    with head_at(network, (0, rows)), feed_forward_at(network, rows):
        logits: Tensor = network(
            inputs_embeds=row[None],
            attention_mask=_carrier(layout, prefix, row),
            position_ids=layout.depths[None],
            use_cache=False,
        ).logits
    found: Tensor = logits[0].float()
    # Asked in the row's own order, as one label a question is: a copy of all logits less, and of their gradient.
    return found if len(rows) == len(back) and bool((back.diff() > 0).all()) else found[back]


class _Carrier(Tensor):
    """A mask of four dimensions, which transformers hands on as it is, that brings the layout to the attention."""

    packing: Layout
    prefix: KeysAndValues | None


def _carrier(layout: Layout, prefix: KeysAndValues | None, row: Tensor) -> Tensor:
    mask = torch.ones(1, dtype=torch.bool, device=row.device).expand(1, 1, len(row), len(row)).as_subclass(_Carrier)
    mask.packing, mask.prefix = layout, prefix
    return mask


def packed_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """Attend within a packed row; the attention of transformers where the batch is not packed.

    Args:
        module: the layer's attention; its ``layer_idx`` finds the prefix.
        query: [1, H, T, D].
        key: [1, K, T, D]; H / K heads share keys and values.
        value: as key.
        attention_mask: brings the layout.
        options: ``scaling``, ``dropout``, ``sliding_window`` and what else a family says.
    """
    if not isinstance(attention_mask, _Carrier):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    layout = attention_mask.packing
    trunk_mask, group_mask = layout.masks(options.get("sliding_window"), query.shape[1] // key.shape[1], query.dtype)
    how = {"dropout_p": options.get("dropout", 0.0), "scale": options.get("scaling")}
    # Split, and not sliced twice: the gradient of a slice is a full row of zeros, to be added to the other's.
    trunks, rests = zip(*(states[0].transpose(0, 1).split(layout.parts) for states in (query, key, value)), strict=True)
    trunk_query, shared_keys, shared_values = (states.transpose(0, 1)[None] for states in trunks)
    if attention_mask.prefix is not None:
        before = attention_mask.prefix[cast(int, module.layer_idx)]
        shared_keys = torch.cat([before[0].to(key.dtype), shared_keys], 2)
        shared_values = torch.cat([before[1].to(value.dtype), shared_values], 2)

    def grouped(states: Tensor) -> Tensor:  # [T - trunk, heads, D] to [G, heads, L, D]
        rows: Tensor = states.index_select(0, layout.slots).unflatten(0, (layout.groups, -1))
        return rows.transpose(1, 2)

    queries, keys, values = map(grouped, rests)
    if shared_keys.shape[2]:
        keys = torch.cat([shared_keys.expand(layout.groups, -1, -1, -1), keys], 2)
        values = torch.cat([shared_values.expand(layout.groups, -1, -1, -1), values], 2)
    own = _attend(queries, keys, values, group_mask, how).transpose(1, 2).flatten(0, 1).index_select(0, layout.places)
    if not layout.trunk:
        return own[None], None
    trunk = _attend(trunk_query, shared_keys, shared_values, trunk_mask, how)
    return torch.cat([trunk[0].transpose(0, 1), own])[None], None


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, how: dict[str, Any]) -> Tensor:
    """Attend with H query heads over K key heads, [B, H, L, D]; without a mask, causally.

    Query heads that share a key head stand behind each other in its row, as in the mask: no key is repeated.
    """
    folded = query.reshape(len(query), key.shape[1], -1, query.shape[3])
    result = scaled_dot_product_attention(folded, key, value, attn_mask=mask, is_causal=mask is None, **how)
    return result.reshape(*query.shape[:3], -1)


AttentionInterface.register(ATTENTION, packed_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def _takes_our_attention(network: PreTrainedModel) -> bool:
    """Whether the family calls its attention by transformers' interface, with positions of ours."""
    config = network.config.get_text_config(decoder=True)
    return (
        can_share(network)
        and "position_ids" in inspect.signature(network.forward).parameters
        and bool(getattr(network, "_supports_attention_backend", False))
        and config._attn_implementation in ("sdpa", ATTENTION)
    )


def _agrees(network: PreTrainedModel) -> bool:
    """Whether three short examples, packed, give the logits that they give padded.

    They have a trunk and a branch: without, relative positions come out right even where ours are not taken.
    """
    device = network.device
    rows = torch.tensor([[0, 1, 2, 3, 4, 0], [0, 1, 5, 6, 7, 0], [0, 1, 5, 6, 8, 9]], device=device)
    column = torch.arange(6, device=device)
    lengths = torch.tensor([5, 5, 6], device=device)[:, None]
    # Small ids that all vocabularies have, none of them a padding token's usual 0.
    ids = (3 + rows) % network.config.get_text_config(decoder=True).vocab_size
    batch = Batch(ids, (column < lengths).long(), column == lengths - 1, lengths[:, 0])
    training, before = network.training, network.config._attn_implementation
    network.eval()
    try:
        with torch.no_grad():
            padded = plain_logits(network, batch)
            packed = packed_logits(network, None, batch)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
        network.set_attn_implementation(before)
        return False
    finally:
        network.train(training)
    tolerance = 1e-4 if padded.dtype == network.dtype else 5e-2
    exact = bool((packed - padded).norm() <= tolerance * padded.norm())
    if not exact:
        network.set_attn_implementation(before)
    return exact
