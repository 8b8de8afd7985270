"""Full fine-tuning."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.methods.base import Method, TunedModel
from bench.spec import Float, SearchSpace

if TYPE_CHECKING:
    from bench.datasets.base import Splits
    from bench.models.base import LanguageModel


class FullFineTuning(Method):
    """Full fine-tuning: all weights are trained; the upper end that the others are measured against."""

    title: ClassVar[str] = "Full fine-tuning"
    citation: ClassVar[str] = "Called model tuning in Lester et al. 2021, arXiv:2104.08691"
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 5e-5}

    def search_space(self) -> SearchSpace:
        """Learning rate."""
        return {"learning_rate": Float(low=5e-6, high=5e-4, log=True)}

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Copy the model and train the copy."""
        return TunedCopy(base)


class TunedCopy(TunedModel):
    """A copy of the base model, in float32, with all weights trainable; the base model is never touched."""

    def __init__(self, base: LanguageModel) -> None:
        super().__init__(base)
        self.network = copy.deepcopy(base.network).float().requires_grad_(True)

    def save(self, folder: Path) -> None:
        """Write the whole model as transformers does: ``config.json`` and ``model.safetensors``."""
        self.network.save_pretrained(folder)

    def load(self, folder: Path) -> None:
        """Read the weights back, in place."""
        from safetensors.torch import load_model

        load_model(self.network, folder / "model.safetensors", strict=False)

    def detach(self) -> None:
        """Let the copy go."""
        self.network = self.base.network
