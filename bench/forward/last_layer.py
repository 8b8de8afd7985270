"""The last layer's feed-forward for the rows that are read, and no others.

A position's output of the last attention is read by nobody but that position's own feed-forward and head.
Where no logits are asked for, both are wasted: of 18 layers as wide as those of Gemma 3 270M that is one part in 25
of all products, forward and backward, of SmolLM2's 30 one in 40.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.forward.checkpointing import is_checkpointed


@contextmanager
def feed_forward_at(network: PreTrainedModel, rows: Tensor) -> Iterator[None]:
    """Let the last layer's feed-forward see only some rows of a batch that is one row of tokens.

    The others come out as zeros. Nothing changes for a family whose feed-forward is not a module ``mlp`` of one
    argument, and while layers are checkpointed: they run again in the backward pass, after this has ended.

    Args:
        network: a decoder.
        rows: [N] indices of the positions, each once, whose output is read.
    """
    module = _feed_forward(network)
    if module is None or (network.training and is_checkpointed(network)):
        yield
        return
    length = 0

    def select(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        nonlocal length
        length = args[0].shape[1]
        return (args[0].index_select(1, rows),)

    def spread(_: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        whole = output.new_zeros(1, length, output.shape[2])
        return whole.index_copy(1, rows, output)

    handles = [module.register_forward_pre_hook(select), module.register_forward_hook(spread)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _feed_forward(network: PreTrainedModel) -> nn.Module | None:
    """Return the last layer's feed-forward, or None where a family builds its layers in another way."""
    depth = network.config.get_text_config(decoder=True).num_hidden_layers
    stacks = [m for m in network.base_model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    module = getattr(stacks[0][-1], "mlp", None) if len(stacks) == 1 else None
    if not isinstance(module, nn.Module) or len(inspect.signature(module.forward).parameters) != 1:
        return None
    return module
