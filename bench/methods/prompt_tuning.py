"""Prompt tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.methods.base import Method, TunedModel
from bench.spec import Float, Int, SearchSpace

if TYPE_CHECKING:
    from bench.datasets.base import Splits
    from bench.models.base import LanguageModel


class PromptTuning(Method):
    """Prompt tuning: P trainable input embeddings before a frozen model (Lester et al., 2021)."""

    title: ClassVar[str] = "Prompt tuning"
    citation: ClassVar[str] = (
        "Lester, Al-Rfou, Constant: The Power of Scale for Parameter-Efficient Prompt Tuning. EMNLP 2021. "
        "arXiv:2104.08691"
    )
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 3e-2}

    init: Literal["random", "text", "vocab", "labels"] = "random"
    """random: uniform in [-0.5, 0.5]; text: the embeddings of `init_text`; vocab: embeddings of tokens drawn from
    the 5,000 most frequent; labels: embeddings of the label words, then vocab (section 3.2 of the paper)."""
    init_text: str | None = Field(None, min_length=1)
    """Text for `init: text`, trimmed or repeated to P tokens; null names the label words."""
    num_virtual_tokens: int = Field(20, gt=0)
    """P, the number of virtual tokens."""

    def search_space(self) -> SearchSpace:
        """Learning rate and P; the paper goes from 1 to 150 tokens."""
        return {
            "learning_rate": Float(low=3e-3, high=3e-1, log=True),
            "num_virtual_tokens": Int(low=5, high=100, log=True),
        }

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Draw the initial prompt and put it before the model's input."""
        from bench.methods.soft_prompt import SoftPrompt, initial_prompt

        return SoftPrompt(base, initial_prompt(self, base, dataset.labels, seed))
