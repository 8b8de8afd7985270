"""Parts of a network by name, in whatever family."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from bench.core.errors import Infeasible


def last_layers(network: PreTrainedModel, count: int) -> set[str]:
    """Return the names of the parameters of the last ``count`` layers and of the norm behind them.

    Raises:
        Infeasible: there are fewer layers.
    """
    path, stack = _stack(network)
    if count > len(stack):
        raise Infeasible(f"last_layers: this model has {len(stack)} layers, fewer than {count}")
    chosen = [f"{path}.{index}." for index in range(len(stack) - count, len(stack))]
    around, _, own = path.rpartition(".")
    for name, module in network.get_submodule(around).named_children():
        # A norm of the embeddings (BLOOM) stands before the layers.
        if name != own and type(module).__name__.endswith("Norm") and "embed" not in name:
            chosen.append(f"{around}.{name}." if around else f"{name}.")
    return {name for name, _ in network.named_parameters() if name.startswith(tuple(chosen))}


def biases(network: PreTrainedModel) -> set[str]:
    """Return the names of a network's bias vectors, those of norms among them."""
    return {name for name, _ in network.named_parameters() if name.rpartition(".")[2] == "bias"}


def _stack(network: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Return path and list of the network's layers; of an encoder-decoder, the decoder's."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.ModuleList)]
    if network.config.is_encoder_decoder:
        found = [(name, module) for name, module in found if "decoder" in name.split(".")]
    if not found:
        raise Infeasible(f"last_layers: {type(network).__name__} has no list of layers")
    # The outermost, and of several the longest: layers may hold lists of their own (experts).
    return min(found, key=lambda item: (item[0].count("."), -len(item[1])))
