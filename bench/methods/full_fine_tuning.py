"""Full fine-tuning."""

from __future__ import annotations

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
        """Make all weights trainable."""
        from bench.methods.tuned_weights import TunedWeights

        return TunedWeights(base)
