"""Which layers a method changes, by the names that an experiment file gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from bench.core.errors import Infeasible, did_you_mean

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

ALL_LINEAR = "all-linear"


def _some(targets: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
    if targets is not None and not all((targets,) if isinstance(targets, str) else targets or ("",)):
        raise ValueError("target_modules is empty; name layers, or null for the method's own choice")
    if isinstance(targets, str):
        try:
            re.compile(targets)
        except re.error as error:
            raise ValueError(f"target_modules: {targets!r} is no regular expression: {error}") from None
    return targets


Targets = Annotated[str | tuple[str, ...] | None, AfterValidator(_some)]
"""Names of layers (the end of their path suffices), a regular expression for whole paths, 'all-linear', or None."""


def linear_layers(network: PreTrainedModel) -> dict[str, nn.Module]:
    """Return a network's linear layers by path, its head over a vocabulary aside."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    head = network.get_output_embeddings()
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, Linear | Conv1D) and module is not head
    }


def norm_layers(network: PreTrainedModel) -> dict[str, nn.Module]:
    """Return a network's layers that normalise (LayerNorm, RMSNorm) by path."""
    return {
        name: module
        for name, module in network.named_modules()
        if type(module).__name__.endswith("Norm") and any(True for _ in module.parameters(recurse=False))
    }


def last_names(paths: Sequence[str]) -> list[str]:
    """Return the last parts of layers' paths, each once, sorted: what one writes for target_modules."""
    return sorted({path.rpartition(".")[2] for path in paths})


def matches(target: str, path: str) -> bool:
    """Whether a name of a list means this layer, as peft reads it."""
    return path == target or path.endswith(f".{target}")


def check_targets(network: PreTrainedModel, targets: str | Sequence[str] | None, layers: dict[str, nn.Module]) -> None:
    """Check that every name, or the regular expression, matches a layer.

    Args:
        network: the base model.
        targets: what the experiment says.
        layers: the layers that the method may change, for the message.

    Raises:
        Infeasible: one matches none; the message lists what there is.
    """
    if targets is None or targets == ALL_LINEAR:
        return
    paths = [name for name, _ in network.named_modules()]
    known = last_names(list(layers))
    there = f"this model has {', '.join(known)}"
    if isinstance(targets, str):
        if not any(re.fullmatch(targets, path) for path in paths):
            hint = f"; for a layer's name write [{targets}]" if targets in known else ""
            raise Infeasible(f"target_modules: the regular expression {targets!r} matches no layer{hint}; {there}")
        return
    for target in targets:
        if not any(matches(target, path) for path in paths):
            near = did_you_mean(target, known).partition("; known")[0]
            raise Infeasible(f"target_modules: no layer is called {target!r}{near}; {there}")
