"""A base model whose own weights, all or some, are trained, and put back afterwards."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file

from bench.methods.base import TunedModel
from bench.methods.target_modules import norm_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.models.base import LanguageModel

PART = "trained_weights.safetensors"


class TunedWeights(TunedModel):
    """The base model with weights of its own trainable, in float32; `detach` puts them back bit for bit.

    Args:
        base: the frozen base model.
        names: the parameters to train; None is all. What is trainable already, an encoder's head, is trained with them.
    """

    def __init__(self, base: LanguageModel, names: Collection[str] | None = None) -> None:
        super().__init__(base)
        parameters = dict(self.network.named_parameters())
        self._all = names is None
        self._names = (
            list(parameters)
            if names is None
            else [name for name, p in parameters.items() if name in names or p.requires_grad]
        )
        # A norm computes in one precision: the frozen weight beside a trained bias goes with it, as autocast has it.
        beside = [name for name in _of_the_same_norms(self.network, self._names) if name not in self._names]
        # A head belongs to the task: it goes when the method does.
        self._pristine = Pristine(base, [n for n in (*self._names, *beside) if n not in base.head_parameters()])
        for name in (*self._names, *beside):
            # The parameters alone: a network's buffers (rotary frequencies) keep the precision they came in.
            parameters[name].data = parameters[name].data.float()
        for name in self._names:
            parameters[name].requires_grad_(True)

    def save(self, folder: Path) -> None:
        """Write the whole model as transformers does, or ``trained_weights.safetensors`` where a part is trained."""
        if not self._all:
            folder.mkdir(parents=True, exist_ok=True)
            trained = {name: p.detach().cpu().contiguous() for name, p in self.trainable().items()}
            save_file(trained, folder / PART, {"format": "pt"})
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
            return
        saved = load_file(folder / PART)
        if saved.keys() != set(self._names):
            odd = sorted(saved.keys() ^ set(self._names))[0]
            raise ValueError(f"{folder}: the saved weights are other ones; {odd} does not match")
        with torch.no_grad():
            for name, parameter in self.trainable().items():
                parameter.copy_(saved[name])

    def detach(self) -> None:
        """Put the base model's weights back."""
        super().detach()
        self._pristine.restore()


class Pristine:
    """Weights of a base model as they were, to be put back.

    They are read from the file that they came from, where it holds them bit for bit: no copy takes
    memory while the model is trained. Where it does not (another precision, a file of several parts),
    they are copied.
    """

    def __init__(self, base: LanguageModel, names: Sequence[str]) -> None:
        parameters = dict(base.network.named_parameters())
        self._parameters = {name: parameters[name] for name in names}
        self._file = None if base.folder is None else base.folder / "model.safetensors"
        if self._file is None or not self._same(self._file):
            self._file = None
            self._copies = {name: p.detach().clone() for name, p in self._parameters.items()}

    def restore(self) -> None:
        """Put the weights back, in the precision that they had."""
        if self._file is None:
            for name, parameter in self._parameters.items():
                parameter.data = self._copies[name]
            return
        with safe_open(self._file, "pt") as stored:
            for name, parameter in self._parameters.items():
                # On a CPU this is the mapped file itself: nothing is read before it is used.
                parameter.data = stored.get_tensor(name).to(parameter.device)

    def _same(self, file: Path) -> bool:
        """Whether the file holds every parameter, bit for bit."""
        if not file.is_file():
            return False
        with safe_open(file, "pt") as stored:
            names = set(stored.keys())
            return all(
                name in names and _equal(stored.get_tensor(name), parameter)
                for name, parameter in self._parameters.items()
            )


def _of_the_same_norms(network: PreTrainedModel, names: Collection[str]) -> list[str]:
    """Return the names of all parameters of the norms that have one of ``names``."""
    found = []
    for path, norm in norm_layers(network).items():
        own = [f"{path}.{name}" for name, _ in norm.named_parameters(recurse=False)]
        if not set(names).isdisjoint(own):
            found += own
    return found


def _equal(stored: torch.Tensor, parameter: torch.Tensor) -> bool:
    return stored.dtype == parameter.dtype and torch.equal(stored, parameter.detach().cpu())
