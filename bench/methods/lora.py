"""LoRA."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from bench.core.config import Alias
from bench.core.distributions import Float, Int, SearchSpace
from bench.methods.peft_method import PeftMethod
from bench.methods.target_modules import ALL_LINEAR, Targets


class Lora(PeftMethod):
    """LoRA: trainable low-rank updates of the linear layers of a frozen model (Hu et al., 2021), by peft."""

    title = "LoRA"
    peft_class = "LoraConfig"
    citation = "Hu et al.: LoRA: Low-Rank Adaptation of Large Language Models. ICLR 2022. arXiv:2106.09685"
    training_defaults = {"learning_rate": 5e-4}
    when_to_use = (
        "The first thing to try beside full fine-tuning: it changes the layers themselves, its updates can be "
        "merged into the weights, and then cost nothing at inference."
    )
    traps = (
        "Updates are scaled by alpha / r. With a fixed alpha another rank is another step size too; alpha: null "
        "keeps the factor at 2.",
        "Its learning rate is some ten times that of full fine-tuning. Variants compared at one rate mislead: "
        "once each rate is tuned, nine of them lie within two percent (arXiv:2602.04998).",
        "target_modules decide its size: PEFT's choice for a family is often the attention's queries and values "
        "alone, here it is every linear layer but the head.",
    )

    rank: Annotated[int, Alias("r")] = Field(8, gt=0)
    """r, the rank of the updates."""
    alpha: Annotated[int | None, Alias("lora_alpha")] = Field(None, gt=0)
    """Updates are scaled by alpha / r; null is 2 r."""
    dropout: Annotated[float, Alias("lora_dropout")] = Field(0.0, ge=0, lt=1)
    """Dropout on the input of the updates."""
    rslora: Annotated[bool, Alias("use_rslora")] = False
    """Scale by alpha / sqrt(r) instead (rsLoRA, arXiv:2312.03732). Give an alpha with it: that of null grows with r."""
    dora: Annotated[bool, Alias("use_dora")] = False
    """Train the magnitude of the weights beside their direction (DoRA, arXiv:2402.09353)."""
    target_modules: Targets = ALL_LINEAR

    def search_space(self) -> SearchSpace:
        """Learning rate and rank."""
        return {
            "learning_rate": Float(low=5e-5, high=5e-3, log=True),
            "rank": Int(low=2, high=32, log=True),
        }

    def peft_fields(self) -> dict[str, Any]:
        """Return those of peft's LoraConfig."""
        return super().peft_fields() | {"lora_alpha": self.alpha if self.alpha is not None else 2 * self.rank}
