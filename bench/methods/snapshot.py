"""The weights of a base model as a method found them, to be put back bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import Parameter

if TYPE_CHECKING:
    from bench.models.language_model import LanguageModel


class WeightSnapshot:
    """The weights of a base model as they are now; an encoder's head, which belongs to a task, is left out.

    Nothing is copied before `keep`. What is kept is read back from the file that it came from, where that holds it bit
    for bit: no copy takes memory while the model is trained. Where it does not (another precision, a file of several
    parts), it is copied to the CPU's memory.
    """

    def __init__(self, base: LanguageModel) -> None:
        head = base.head_parameters()
        self._found = {name: (p, p.data) for name, p in base.network.named_parameters() if name not in head}
        self._copies: dict[str, tuple[Parameter, Tensor | None]] = {}
        self._file = None if base.folder is None else base.folder / "model.safetensors"

    def keep(self, trained: Iterable[Parameter]) -> None:
        """Keep the weights that are going to be trained, and those that have been replaced by others; once."""
        if not self._found:
            return
        ours = {id(parameter) for parameter in trained}
        wanted = {
            name: (parameter, data)
            for name, (parameter, data) in self._found.items()
            if id(parameter) in ours or (parameter.dtype, parameter.data_ptr()) != (data.dtype, data.data_ptr())
        }
        stored = self._in_file({name: data for name, (_, data) in wanted.items()})
        for name, (parameter, data) in wanted.items():
            shared = parameter.data_ptr() == data.data_ptr()  # an optimizer that steps in place changes ``data`` too
            # Not on the device of the model: full fine-tuning is not to be charged for a copy that is ours.
            kept = data if stored or data.is_meta else data.to("cpu", copy=shared)
            self._copies[name] = (parameter, None if stored else kept)
        self._found = {}  # let go of what is in the file

    def restore(self) -> None:
        """Put the weights back, in the precision that they had."""
        for parameter, data in self._copies.values():
            if data is not None:
                parameter.data = data.to(parameter.device)
        in_file = {name: parameter for name, (parameter, data) in self._copies.items() if data is None}
        if in_file and self._file is not None:
            with safe_open(self._file, "pt") as stored:
                for name, parameter in in_file.items():
                    # On a CPU this is the mapped file itself: nothing is read before it is used.
                    parameter.data = stored.get_tensor(name).to(parameter.device)

    def _in_file(self, wanted: dict[str, Tensor]) -> bool:
        """Whether the file holds every one of these, bit for bit."""
        if not wanted or self._file is None or not self._file.is_file():
            return False
        with safe_open(self._file, "pt") as stored:
            names = set(stored.keys())
            return all(name in names and _equal(stored.get_tensor(name), data) for name, data in wanted.items())


def _equal(stored: Tensor, data: Tensor) -> bool:
    return stored.dtype == data.dtype and torch.equal(stored, data.detach().cpu())
