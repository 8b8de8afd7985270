"""The packed batch: a whole batch in one row, without padding, and whatever examples share only once.

Linear layers, norms and activations see one row of real tokens: the virtual tokens, then the
examples (`Layout`). Attention alone takes the row apart again: every example's queries look at the
shared beginning and at their own tokens, so its cost grows with the examples' own lengths, not with
the square of the row. The result is that of the padded batch with the prompt before every example,
exactly. (Where a network has dropout that is switched on, what is shared is drawn once for all.)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from bench.forward.batch import Batch
from bench.forward.layout import Layout, sees_back
from bench.forward.padded import head_at, plain_logits, prompted_logits
from bench.forward.shared_prefix import KeysAndValues, holds_all_positions, prefix_of, stays_true
from bench.forward.trial import agree, trial_batch, trial_prompt

ATTENTION = "promptscale_packed"
"""Name of our attention in transformers; for a batch that is not packed it is ``sdpa``."""


def can_pack(network: PreTrainedModel) -> bool:
    """Whether this network, which `takes_prompts`, can be packed exactly, with whatever adapter it carries.

    A few tokens are tried, without and with a prompt. That says nothing of what lies beyond a sliding window, so every
    layer has to be seen to attend by a mask that is causal or slides; whatever else it does to it is refused.
    """
    if not _takes_our_attention(network):
        return False
    before, batch, prompt = network.config._attn_implementation, trial_batch(network), trial_prompt(network)
    exact = agree(network, lambda: packed_logits(network, None, batch), lambda: plain_logits(network, batch)) and agree(
        network, lambda: packed_logits(network, prompt, batch), lambda: prompted_logits(network, prompt, batch)
    )
    if not exact:
        network.set_attn_implementation(before)
    return exact


def can_pack_behind_prefix(network: PreTrainedModel) -> bool:
    """Whether a network that `can_pack` can be packed behind keys and values computed once, too.

    Not where layers run several times, or take keys and values in another shape than the cache keeps them.
    """
    if not stays_true(network):
        return False
    batch, prompt = trial_batch(network), trial_prompt(network)
    return agree(
        network,
        lambda: packed_logits(network, None, batch, prefix_of(network, prompt)),
        lambda: prompted_logits(network, prompt, batch),
    )


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
    with _packing(layout, prefix), head_at(network, (0, rows)):
        logits: Tensor = network(
            inputs_embeds=row[None],
            # Without one, transformers would guess from the positions where an example begins.
            attention_mask=torch.ones(1, len(row), dtype=torch.long, device=row.device),
            position_ids=layout.depths[None],
            use_cache=False,
        ).logits
    found: Tensor = logits[0].float()
    # Asked in the row's own order, as one label a question is: a copy of all logits less, and of their gradient.
    return found if len(rows) == len(back) and bool((back.diff() > 0).all()) else found[back]


_RUNNING: ContextVar[tuple[Layout, KeysAndValues | None] | None] = ContextVar("_RUNNING", default=None)
"""The row that runs, and what is before it."""


@contextmanager
def _packing(layout: Layout, prefix: KeysAndValues | None) -> Iterator[None]:
    token = _RUNNING.set((layout, prefix))
    try:
        yield
    finally:
        _RUNNING.reset(token)


class _Mask(Tensor):
    """What a family's layers take for a mask: it brings them the row, what is before it, and how far they look back.

    Whatever a family does to it leaves a plain tensor, which our attention refuses.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    row: tuple[Layout, KeysAndValues | None]
    window: int | None


def packed_mask(
    *, mask_function: Callable[..., Tensor], local_size: int | None = None, **options: Any
) -> Tensor | None:
    """Make the mask of a kind of layers, as transformers asks for it: who sees whom, and how far they look back."""
    row = _RUNNING.get()
    if row is None:
        return sdpa_mask(mask_function=mask_function, local_size=local_size, **options)
    depths = row[0].depths
    ones = torch.ones(1, dtype=torch.bool, device=depths.device)
    mask = ones.expand(1, 1, len(depths), len(depths)).as_subclass(_Mask)
    mask.row, mask.window = row, _window(mask_function, local_size)
    return mask


def _window(mask_function: Callable[..., Tensor], size: int | None) -> int | None:
    """Return how many positions a layer looks back, itself included; None for all.

    Raises:
        TypeError: it looks elsewhere, as attention in chunks or in both directions does.
    """
    # Around the multiples of the window, or of more than any input has: nothing is run, so this costs no time.
    step = size or 2**20
    depths = torch.tensor(sorted({max(0, step * n + d) for n in range(4) for d in (-1, 0, 1, 2)}))
    sees = mask_function(0, 0, depths[:, None], depths[None])
    if not torch.equal(sees, sees_back(depths[:, None], depths[None], size)):
        raise TypeError("the mask is neither causal nor of a sliding window")
    return size


def packed_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """Attend within a packed row; the attention of transformers where the batch is not packed.

    Args:
        module: the layer's attention; its ``layer_idx`` finds the prefix.
        query: [1, H, T, D].
        key: [1, K, T, D]; H / K heads share keys and values.
        value: as key.
        attention_mask: what `packed_mask` has made.
        options: ``scaling``, ``dropout`` and what else a family says.

    Raises:
        TypeError: a family changes its mask, or its scores by more than that.
    """
    if not isinstance(attention_mask, _Mask):
        if _RUNNING.get() is not None:
            raise TypeError(f"{type(module).__name__} attends by a mask of its own")
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if changed := [name for name in ("position_bias", "softcap", "s_aux") if options.get(name) is not None]:
        raise TypeError(f"{type(module).__name__} changes its scores by {', '.join(changed)}")
    layout, prefix = attention_mask.row
    trunk_mask, group_mask = layout.masks(attention_mask.window, query.shape[1] // key.shape[1], query.dtype)
    how = {"dropout_p": options.get("dropout", 0.0), "scale": options.get("scaling")}
    # Split, and not sliced twice: the gradient of a slice is a full row of zeros, to be added to the other's.
    trunks, rests = zip(*(states[0].transpose(0, 1).split(layout.parts) for states in (query, key, value)), strict=True)
    trunk_query, shared_keys, shared_values = (states.transpose(0, 1)[None] for states in trunks)
    if prefix is not None:
        before = prefix[cast(int, module.layer_idx)]
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
AttentionMaskInterface.register(ATTENTION, packed_mask)


def _takes_our_attention(network: PreTrainedModel) -> bool:
    """Whether the family calls its attention by transformers' interface, with positions of ours."""
    config = network.config.get_text_config(decoder=True)
    return (
        holds_all_positions(network)
        and "position_ids" in inspect.signature(network.forward).parameters
        and bool(getattr(network, "_supports_attention_backend", False))
        and config._attn_implementation in ("sdpa", ATTENTION)
    )
