"""AdaLoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from bench.core.config import Alias
from bench.core.distributions import Float, Int, SearchSpace
from bench.methods.base import TunedModel
from bench.methods.peft_method import PeftMethod

if TYPE_CHECKING:
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


class AdaLora(PeftMethod):
    """AdaLoRA: LoRA whose ranks move in training to the layers that need them (Zhang et al., 2023), by peft."""

    version = 2
    title = "AdaLoRA"
    peft_class = "AdaLoraConfig"
    citation = (
        "Zhang et al.: AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning. ICLR 2023. "
        "arXiv:2303.10512"
    )
    training_defaults = {"learning_rate": 1e-3}
    when_to_use = (
        "Where the parameters of LoRA are to be spent on the layers that need them, and training is long enough "
        "to find these."
    )
    traps = (
        "Ranks move by a schedule over all steps. In a short training few allocations happen: warmup_share, "
        "final_share and allocation_interval have to leave some.",
        "It begins with initial_rank, which is above rank: peak memory and trainable parameters are those of the "
        "beginning.",
        "The recorded loss is without the penalty on the factors (orthogonal_weight), PEFT's own loss holds it: "
        "the two are not comparable.",
    )

    rank: Annotated[int, Alias("target_r")] = Field(8, gt=0)
    """Average rank of the updates at the end."""
    initial_rank: Annotated[int | None, Alias("init_r")] = Field(None, gt=0)
    """Rank of every update at the beginning; null is one and a half times `rank`, as in the paper."""
    alpha: Annotated[int | None, Alias("lora_alpha")] = Field(None, gt=0)
    """Updates are scaled by alpha / initial_rank; null is twice that rank, so that the factor is 2, as LoRA's."""
    dropout: Annotated[float, Alias("lora_dropout")] = Field(0.0, ge=0, lt=1)
    """Dropout on the input of the updates."""
    warmup_share: float = Field(0.1, ge=0, lt=1)
    """Share of the steps before the first rank is taken away (the paper's t_i)."""
    final_share: float = Field(0.5, ge=0, lt=1)
    """Share of the steps after the last (the paper's t_f)."""
    allocation_interval: Annotated[int, Alias("deltaT")] = Field(10, gt=0)
    """Steps between two allocations (the paper's Delta T)."""
    orthogonal_weight: Annotated[float, Alias("orth_reg_weight")] = Field(0.1, ge=0)
    """Weight of the penalty that keeps the factors orthogonal (the paper's gamma)."""

    @property
    def first_rank(self) -> int:
        """The rank of every update at the beginning."""
        return self.initial_rank if self.initial_rank is not None else max(self.rank + 1, self.rank * 3 // 2)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.first_rank <= self.rank:
            raise ValueError(f"initial_rank must be above rank, found {self.first_rank} and {self.rank}")
        if self.warmup_share + self.final_share >= 1:
            raise ValueError("warmup_share and final_share leave no steps in which ranks could move")
        return self

    def search_space(self) -> SearchSpace:
        """Learning rate and rank."""
        return {
            "learning_rate": Float(low=1e-4, high=1e-2, log=True),
            "rank": Int(low=2, high=32, log=True),
        }

    def peft_fields(self) -> dict[str, Any]:
        """Return those of peft's AdaLoraConfig; its steps are set when training begins."""
        own = super().peft_fields() | {
            "init_r": self.first_rank,
            "lora_alpha": self.alpha if self.alpha is not None else 2 * self.first_rank,
            "total_step": 1,
        }
        return {name: value for name, value in own.items() if name not in ("warmup_share", "final_share")}

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Put peft's layers into the model."""
        from bench.methods.tuned.adalora import AdaLoraAdapter

        return AdaLoraAdapter(base, self.configured(base), seed, self.warmup_share, self.final_share)
