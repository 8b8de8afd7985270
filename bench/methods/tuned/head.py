"""A base model whose output head alone is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bench.core.errors import Infeasible
from bench.methods.base import TunedModel
from bench.methods.tuned.full_fine_tuning import PART

if TYPE_CHECKING:
    from bench.models.base import LanguageModel


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

    def save(self, folder: Path) -> None:
        """Write ``trained_weights.safetensors``, with the names that the weights have in the head."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: p.detach().cpu() for name, p in self.trainable().items()}, folder / PART, {"format": "pt"})

    def load(self, folder: Path) -> None:
        """Read the weights back, in place."""
        saved = load_file(folder / PART)
        with torch.no_grad():
            for name, parameter in self.trainable().items():
                parameter.copy_(saved[name])

    def detach(self) -> None:
        """Put the base model's own head back."""
        for name, parameter in self._own.items():
            setattr(self._head, name, parameter)
        super().detach()
