"""The hard prompt: the model as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.methods.base import Method, TunedModel

if TYPE_CHECKING:
    from bench.datasets.base import Splits
    from bench.models.base import LanguageModel


class HardPrompt(Method):
    """Zero-shot: the data set's template and the frozen model, nothing trained (prompt design)."""

    title: ClassVar[str] = "Hard prompt, zero-shot"
    citation: ClassVar[str] = "Brown et al.: Language Models are Few-Shot Learners. NeurIPS 2020. arXiv:2005.14165"
    stochastic: ClassVar[bool] = False

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Attach nothing."""
        return TunedModel(base)
