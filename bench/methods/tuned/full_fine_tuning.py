"""A base model whose own weights, all or some, are trained, and put back afterwards."""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_model
from torch import nn
from transformers import PreTrainedModel

from bench.core.errors import Infeasible
from bench.methods.base import TunedModel
from bench.methods.target_modules import norm_layers

if TYPE_CHECKING:
    from bench.models.language_model import LanguageModel


class TunedWeights(TunedModel):
    """The base model with weights of its own trainable, in float32; `detach` puts them back bit for bit.

    Args:
        base: the frozen base model.
        names: the parameters to train; None is all. What is trainable already, an encoder's head, is trained with them.
    """

    def __init__(self, base: LanguageModel, names: Collection[str] | None = None) -> None:
        super().__init__(base)
        self._all = names is None
        parameters = dict(self.network.named_parameters())
        chosen = [name for name, p in parameters.items() if names is None or name in names or p.requires_grad]
        if packed := [name for name in chosen if not parameters[name].is_floating_point()]:
            raise Infeasible(f"quantised weights cannot be trained ({packed[0]}); an adapter or a prompt can")
        # A norm computes in one precision: the frozen weight beside a trained bias goes with it, as autocast has it.
        for name in {*chosen, *_of_the_same_norms(self.network, chosen)}:
            # The parameters alone: a network's buffers (rotary frequencies) keep the precision they came in.
            parameters[name].data = parameters[name].data.float()
        for name in chosen:
            parameters[name].requires_grad_(True)
        self.keep_trained_weights()

    def save(self, folder: Path) -> None:
        """Write the whole model as transformers does, or what is trained where that is a part."""
        if not self._all:
            super().save(folder)
            return
        config = self.network.config
        self.network.config = copy.deepcopy(config)  # saving notes the precision in it
        try:
            # In one file, however large, and by the names in memory, which some families do not have on disk:
            # so `load` fills every weight.
            self.network.save_pretrained(folder, max_shard_size="1000TB", save_original_format=False)
        finally:
            self.network.config = config

    def load(self, folder: Path) -> None:
        """Read the weights back, in place.

        Raises:
            ValueError: the file holds other weights.
        """
        if self._all:
            load_model(self.network, folder / "model.safetensors")
        else:
            super().load(folder)


class TunedHead(TunedModel):
    """The base model with a trained copy of its head's weights, in float32; `detach` puts the own ones back.

    Args:
        base: the frozen base model.
    """

    def __init__(self, base: LanguageModel) -> None:
        super().__init__(base)
        head = base.network.get_output_embeddings()
        if head is None:
            raise Infeasible(f"head_only: {type(base.network).__name__} has no output head")
        self._head = head
        self._own = dict(head.named_parameters(recurse=False))
        shared = {id(p) for module in base.network.modules() if module is not head for p in module._parameters.values()}
        self._tied = [p for p in self._own.values() if id(p) in shared]
        for name, parameter in self._own.items():
            setattr(head, name, nn.Parameter(parameter.detach().float().clone()))

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the head's weights."""
        return dict(self._head.named_parameters(recurse=False))

    def added_parameters(self) -> int:
        """Return the size of a head that was tied to the embeddings; an untied one is only replaced."""
        return sum(p.numel() for p in self._tied)

    def detach(self) -> None:
        """Put the base model's own head back."""
        for name, parameter in self._own.items():
            setattr(self._head, name, parameter)
        super().detach()


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


def _of_the_same_norms(network: PreTrainedModel, names: Collection[str]) -> list[str]:
    """Return the names of all parameters of the norms that have one of ``names``."""
    found = []
    for path, norm in norm_layers(network).items():
        own = [f"{path}.{name}" for name, _ in norm.named_parameters(recurse=False)]
        if not set(names).isdisjoint(own):
            found += own
    return found


def _stack(network: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Return path and list of the network's layers; of an encoder-decoder, the decoder's."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.ModuleList)]
    if network.config.is_encoder_decoder:
        found = [(name, module) for name, module in found if "decoder" in name.split(".")]
    if not found:
        raise Infeasible(f"last_layers: {type(network).__name__} has no list of layers")
    # The outermost, and of several the longest: layers may hold lists of their own (experts).
    return min(found, key=lambda item: (item[0].count("."), -len(item[1])))
