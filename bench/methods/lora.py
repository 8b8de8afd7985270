"""LoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.methods.base import Method, TunedModel
from bench.spec import Float, Int, SearchSpace

if TYPE_CHECKING:
    from bench.datasets.base import Splits
    from bench.models.base import LanguageModel


class Lora(Method):
    """LoRA: trainable low-rank updates of the linear layers of a frozen model (Hu et al., 2021), by peft."""

    title: ClassVar[str] = "LoRA"
    citation: ClassVar[str] = (
        "Hu et al.: LoRA: Low-Rank Adaptation of Large Language Models. ICLR 2022. arXiv:2106.09685"
    )
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 5e-4}

    rank: int = Field(8, gt=0)
    """r, the rank of the updates."""
    alpha: int | None = Field(None, gt=0)
    """Updates are scaled by alpha / r; null is 2 r."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the input of the updates."""
    target_modules: str | tuple[str, ...] | None = "all-linear"
    """Names of the layers to update; 'all-linear' is every linear layer but the head, null is peft's choice."""

    def search_space(self) -> SearchSpace:
        """Learning rate and rank."""
        return {
            "learning_rate": Float(low=5e-5, high=5e-3, log=True),
            "rank": Int(low=2, high=32, log=True),
        }

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Put peft's LoRA layers into the model."""
        from peft import LoraConfig

        from bench.methods.peft_adapter import PeftAdapter

        targets = list(self.target_modules) if isinstance(self.target_modules, tuple) else self.target_modules
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha if self.alpha is not None else 2 * self.rank,
            lora_dropout=self.dropout,
            target_modules=targets,
            task_type="SEQ_2_SEQ_LM" if base.kind == "seq2seq" else "CAUSAL_LM",
        )
        return PeftAdapter(base, config, seed)
