"""Fine-tuning of the model's own weights: all, the last layers or the head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from bench.core.distributions import Float, SearchSpace
from bench.methods.base import Method, TunedModel

if TYPE_CHECKING:
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


class FullFineTuning(Method):
    """Full fine-tuning: all weights are trained, or the last layers, or the head alone."""

    title = "Full fine-tuning"
    citation = (
        "Called model tuning in Lester et al. 2021, arXiv:2104.08691; the last layers alone: Lee, Tang, Lin: What "
        "Would Elsa Do? 2019. arXiv:1911.03090"
    )
    training_defaults = {"learning_rate": 5e-5}
    when_to_use = (
        "The reference that every other method is held against, where a copy of the model for each task can be "
        "kept and its training fits into memory."
    )
    traps = (
        "It needs sixteen bytes a parameter before any activation: weights, gradients and AdamW's two moments in "
        "float32.",
        "Its learning rate is ten to a thousand times below that of other methods. At theirs it diverges, and "
        "seems worse than it is.",
        "It forgets most: evaluation.retention measures the loss on general text before and after.",
    )

    last_layers: int | None = Field(None, gt=0)
    """Train this many layers at the end and the norm behind them, nothing else; null trains all weights. Of an
    encoder-decoder they are the decoder's."""
    head_only: bool = False
    """Train the output head alone. Where it shares its weights with the embeddings it becomes a copy of its own, so
    that the embeddings stay as they are."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.head_only and self.last_layers is not None:
            raise ValueError("last_layers and head_only name different parts of the model; choose one")
        return self

    def search_space(self) -> SearchSpace:
        """Learning rate; a part of the model stands a higher one."""
        times = 1 if self.last_layers is None and not self.head_only else 10
        return {"learning_rate": Float(low=times * 5e-6, high=times * 5e-4, log=True)}

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Make the weights trainable."""
        from bench.methods.tuned.full_fine_tuning import TunedHead, TunedWeights, last_layers

        if self.head_only:  # an encoder's head over the labels is trained whatever else is
            return TunedHead(base) if base.head is None else TunedWeights(base, ())
        return TunedWeights(base, None if self.last_layers is None else last_layers(base.network, self.last_layers))
