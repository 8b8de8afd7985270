"""Weights that stay where they are: in the file, mapped into memory."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = "model.safetensors"


def map_weights(network: PreTrainedModel, folder: Path, without: Collection[str] = ()) -> bool:
    """Replace a network's parameters by the same ones mapped from their file; False if the file does not hold them all.

    All workers on a machine then share one copy in the page cache. A mapping is private: whoever writes to a
    parameter gets pages of his own, and the file stays as it is.

    Args:
        network: on the CPU, loaded from ``folder``.
        folder: where its `WEIGHTS` are.
        without: parameters that the file need not hold; they stay as they are.
    """
    file = folder / WEIGHTS
    if not file.is_file():
        return False
    with torch.no_grad(), safe_open(file, "pt") as stored:
        names = set(stored.keys())
        body = f"{network.base_model_prefix}."
        mapped = {}
        for name, parameter in network.named_parameters():
            if name in without:
                continue
            # A file that was saved without a head names its parameters from the body on.
            there = name if name in names else name.removeprefix(body)
            if there not in names:
                return False
            tensor = stored.get_tensor(there)
            if tensor.dtype != parameter.dtype or not torch.equal(tensor, parameter):
                return False
            mapped[name] = tensor
    for name, parameter in network.named_parameters():
        if name in mapped:
            parameter.data = mapped[name]
    return True
