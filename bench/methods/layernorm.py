"""Tuning of the norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.distributions import Float, SearchSpace
from bench.methods.peft_method import PeftMethod
from bench.methods.target_modules import last_names, norm_layers

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from bench.models.language_model import LanguageModel


class LayerNormTuning(PeftMethod):
    """LayerNorm tuning: the weights of the norms are trained (Zhao et al., 2023), by peft."""

    version = 2
    title = "LayerNorm tuning"
    peft_class = "LNTuningConfig"
    citation = (
        "Zhao et al.: Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning. ICLR 2024. "
        "arXiv:2312.11420"
    )
    training_defaults = {"learning_rate": 1e-3}
    when_to_use = (
        "The smallest change to the model's own weights that every family allows; a baseline for whatever claims "
        "to need more."
    )
    traps = (
        "PEFT's own choice of norms is only some of them in some families (Qwen 2), and none in others (GPT-NeoX,"
        " OPT). Here all are trained unless target_modules says otherwise.",
    )

    def search_space(self) -> SearchSpace:
        """Learning rate."""
        return {"learning_rate": Float(low=1e-4, high=1e-2, log=True)}

    def candidates(self, network: PreTrainedModel) -> dict[str, nn.Module]:
        """Return the norms."""
        return norm_layers(network)

    def configured(self, base: LanguageModel) -> PeftConfig:
        """Return peft's configuration; without `target_modules`, for all norms of whatever family."""
        if self.target_modules is not None:
            return super().configured(base)
        # peft's own choice is only some of them in some families (Qwen 2), and none in others (GPT-NeoX, OPT).
        every = tuple(last_names(list(norm_layers(base.network))))
        return self.model_copy(update={"target_modules": every}).configured(base)
