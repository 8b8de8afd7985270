"""A base model whose own weights are trained, and put back afterwards."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import load_model

from bench.methods.base import TunedModel

if TYPE_CHECKING:
    from bench.models.base import LanguageModel


class TunedWeights(TunedModel):
    """The base model itself with all weights trainable, in float32; `detach` puts the weights back bit for bit."""

    def __init__(self, base: LanguageModel) -> None:
        super().__init__(base)
        self._pristine = Pristine(base)
        for parameter in self.network.parameters():
            # The parameters alone: a network's buffers (rotary frequencies) keep the precision they came in.
            parameter.data = parameter.data.float()
        self.network.requires_grad_(True)

    def save(self, folder: Path) -> None:
        """Write the whole model as transformers does: ``config.json`` and ``model.safetensors``."""
        config = self.network.config
        self.network.config = copy.deepcopy(config)  # saving notes the precision in it
        try:
            # In one file, however large, and by the names in memory, which some families do not have on disk:
            # so `load` fills every weight.
            self.network.save_pretrained(folder, max_shard_size="1000TB", save_original_format=False)
        finally:
            self.network.config = config

    def load(self, folder: Path) -> None:
        """Read the weights back, in place."""
        load_model(self.network, folder / "model.safetensors")

    def detach(self) -> None:
        """Put the base model's weights back."""
        super().detach()
        self._pristine.restore()


class Pristine:
    """The weights of a base model as they were, to be put back.

    They are read from the file that they came from, where it holds them bit for bit: no copy takes
    memory while the model is trained. Where it does not (another precision, a file of several parts),
    they are copied.
    """

    def __init__(self, base: LanguageModel) -> None:
        self._network = base.network
        self._dtypes = {name: p.dtype for name, p in self._network.named_parameters()}
        self._file = None if base.folder is None else base.folder / "model.safetensors"
        if self._file is None or not self._same(self._file):
            self._file = None
            self._copies = {name: p.detach().clone() for name, p in self._network.named_parameters()}

    def restore(self) -> None:
        """Put the weights back, in the precision that they had."""
        with torch.no_grad():
            for name, parameter in self._network.named_parameters():
                parameter.data = parameter.data.to(self._dtypes[name])
            if self._file is None:
                for name, parameter in self._network.named_parameters():
                    parameter.copy_(self._copies[name])
                return
            with safe_open(self._file, "pt") as stored:
                for name, parameter in self._network.named_parameters():
                    parameter.copy_(stored.get_tensor(name))

    def _same(self, file: Path) -> bool:
        """Whether the file holds every parameter, bit for bit."""
        if not file.is_file():
            return False
        with safe_open(file, "pt") as stored:
            names = set(stored.keys())
            return all(
                name in names and _equal(stored.get_tensor(name), parameter)
                for name, parameter in self._network.named_parameters()
            )


def _equal(stored: torch.Tensor, parameter: torch.Tensor) -> bool:
    return stored.dtype == parameter.dtype and torch.equal(stored, parameter.detach().cpu())
