"""BitFit: the biases alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.distributions import Float, SearchSpace
from bench.core.errors import Infeasible
from bench.methods.base import Method, TunedModel

if TYPE_CHECKING:
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


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
