"""Prefix tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.core.distributions import Float, Int, SearchSpace
from bench.methods.base import Method, TunedModel
from bench.methods.prompt_tuning import some_text

if TYPE_CHECKING:
    from bench.datasets.base import Splits
    from bench.models.base import LanguageModel


class PrefixTuning(Method):
    """Prefix tuning: P trainable keys and values in every layer of a frozen decoder (Li & Liang, 2021)."""

    title: ClassVar[str] = "Prefix tuning"
    citation: ClassVar[str] = (
        "Li, Liang: Prefix-Tuning: Optimizing Continuous Prompts for Generation. ACL 2021. arXiv:2101.00190"
    )
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 1e-2}

    num_virtual_tokens: int = Field(20, gt=0)
    """P, the number of virtual tokens."""
    init: Literal["random", "zero", "text"] = "random"
    """random: variance 1, as in the paper's code and in peft; zero: keys and values of zeros; text: the keys and values
    that the model itself computes for `init_text`, the paper's better start for small data (section 7.4)."""
    init_text: str | None = None
    """Text for `init: text`, trimmed or repeated to P tokens; null names the label words."""
    init_special_tokens: bool = False
    """Tokenise `init_text` with the special tokens that the tokenizer puts around a text."""
    projection: bool = False
    """Train an MLP that yields the prefix instead of the prefix itself (section 4.3)."""
    hidden_size: int = Field(512, gt=0)
    """Width of that MLP's hidden layer; the paper takes 512 and, for summaries, 800."""

    _some_text = field_validator("init_text")(some_text)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.projection and self.init == "text":
            raise ValueError("init: text sets keys and values, which projection: true would compute; choose one")
        return self

    def search_space(self) -> SearchSpace:
        """Learning rate and P; the paper goes to 200 tokens and finds 10 enough for tables, 200 for summaries."""
        return {
            "learning_rate": Float(low=1e-3, high=1e-1, log=True),
            "num_virtual_tokens": Int(low=5, high=100, log=True),
        }

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Put the keys and values before those of the input."""
        from bench.methods.tuned.prefix_tuning import TrainedPrefix

        return TrainedPrefix(base, self, dataset, seed)
