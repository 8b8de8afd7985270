"""Fine-tuning of the model's own weights: all, the last layers, the head or the biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from bench.core.distributions import Float, SearchSpace
from bench.core.errors import Infeasible
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
        high = 5e-4 if self.last_layers is None and not self.head_only else 5e-3
        return {"learning_rate": Float(low=5e-6, high=high, log=True)}

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Make the weights trainable."""
        from bench.methods.tuned.full_fine_tuning import TunedHead, TunedWeights, last_layers

        if self.head_only:  # an encoder's head over the labels is trained whatever else is
            return TunedHead(base) if base.head is None else TunedWeights(base, ())
        return TunedWeights(base, None if self.last_layers is None else last_layers(base.network, self.last_layers))


class BitFit(Method):
    """BitFit: the bias vectors of a model are trained, those of its norms among them (Ben Zaken et al., 2022)."""

    title = "BitFit"
    citation = (
        "Ben Zaken, Ravfogel, Goldberg: BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked "
        "Language-models. ACL 2022. arXiv:2106.10199"
    )
    training_defaults = {"learning_rate": 1e-3}
    when_to_use = "Where the model has biases and little memory is there: it needs no new layers."
    traps = (
        "Llama, SmolLM2, Gemma and T5 have no biases: it cannot run there. Qwen 2 has them in queries, keys and "
        "values alone.",
        "The biases of the norms are among those that are trained.",
    )

    def search_space(self) -> SearchSpace:
        """Learning rate; the paper trains with rates from 1e-4 to 1e-2."""
        return {"learning_rate": Float(low=1e-4, high=1e-2, log=True)}

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Make the biases trainable.

        Raises:
            Infeasible: the model has none, as Llama, Gemma and T5.
        """
        from bench.methods.tuned.full_fine_tuning import TunedWeights

        names = [name for name, _ in base.network.named_parameters() if name.rpartition(".")[2] == "bias"]
        if not names:
            raise Infeasible(f"bitfit: {type(base.network).__name__} has no biases to train")
        return TunedWeights(base, names)
