"""The contract of a model source: what to fetch, and how to load a frozen language model from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.core.config import Config
from bench.core.packages import Download
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

        return put_on(self, labels, seed)

    def head_parameters(self) -> dict[str, Parameter]:
        """Return the parameters of the classification head by their names in the network; none without a head."""
        paths = self.head.paths if self.head is not None else ()
        return {
            f"{path}.{name}": parameter
            for path in paths
            for name, parameter in self.network.get_submodule(path).named_parameters()
        }


class Model(Config):
    """Where a base model comes from. Sources subclass it: local folder, hub, package."""

    title: ClassVar[str] = ""
    license: ClassVar[str] = "unknown"
    license_notice: ClassVar[str | None] = None
    """Set for a model that is opt-in: shown before the first download, to be accepted by name."""
    homepage: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    parameters: ClassVar[int | None] = None

    def downloads(self) -> list[Download]:
        """What this model fetches, without touching the network."""
        return []

    def prepare(self) -> None:
        """Check and fetch everything that needs no torch; the driver calls it before any compute.

        Raises:
            Unavailable: it is not there and cannot be fetched.
            BadInput: what is there is no model.
        """

    def ready(self) -> bool:
        """Whether `folder` has nothing left to make, such as a conversion that needs torch."""
        return True

    def check(self) -> None:
        """Check what needs torch: whether the weights fill the network. Run once, in a process of its own.

        Raises:
            BadInput: they do not.
        """

    @abstractmethod
    def folder(self) -> Path:
        """Return the folder that `transformers.AutoModel.from_pretrained` reads; makes it if need be."""
        raise NotImplementedError

    @abstractmethod
    def revision_id(self) -> str:
        """Return what pins the weights: a commit, or a sha256."""
        raise NotImplementedError

    def pin(self) -> str | None:
        """Return what pins the content beyond the options, without network; None where options or a hub say all.

        It is part of a cell's hash: other content is another cell.
        """
        return None

    def load(self, device: torch.device, dtype: torch.dtype, trust_remote_code: bool = False) -> LanguageModel:
        """Load the model frozen, in eval mode, with a tokenizer that has a pad token."""
        from bench.models.loading import load_language_model

        return load_language_model(self, device, dtype, trust_remote_code)
