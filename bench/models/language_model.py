"""A base model in memory: its network, its tokenizer, and what the harness has to know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.forward.counting import weights_in
from bench.models.kinds import Kind

if TYPE_CHECKING:
    import torch
    from torch.nn import Parameter
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from bench.models.heads import Head


def _nothing() -> None:
    """Take nothing off."""


@dataclass
class LanguageModel:
    """A base model, ready to be adapted: frozen, in eval mode, on its device."""

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    kind: Kind
    parameters: int
    """All parameters of the base model; tied weights count once. An encoder's classification head is among them."""
    context_length: int | None
    """Positions the model can take; None where it has no limit (relative positions)."""
    revision: str
    """Commit of the hub, or sha256 of the wheel or of the weights."""
    folder: Path | None = None
    """Where the weights were read from; None for a model made in memory."""
    notes: dict[str, str | int] = field(default_factory=dict)
    """What had to be done to use it, such as a pad token that was missing."""
    head: Head | None = None
    """Where an encoder's classification head is; None for a model that answers with words."""
    release: Callable[[], None] = _nothing
    """Takes off what `for_labels` has put on."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    def for_labels(self, labels: Sequence[str], seed: int) -> LanguageModel:
        """Return the model as a method finds it for a data set with these labels.

        A model that answers with words is what it is. An encoder gets a trainable head over the labels; until
        `release` of what is returned, nothing else may use it.
        """
        if self.head is None:
            return self
        from bench.models.heads import put_on

        release = put_on(self.network, self.head, labels, seed)
        return replace(self, parameters=sum(map(weights_in, self.network.parameters())), release=release)

    def head_parameters(self) -> dict[str, Parameter]:
        """Return the parameters of the classification head by their names in the network; none without a head."""
        paths = self.head.paths if self.head is not None else ()
        return {
            f"{path}.{name}": parameter
            for path in paths
            for name, parameter in self.network.get_submodule(path).named_parameters()
        }
