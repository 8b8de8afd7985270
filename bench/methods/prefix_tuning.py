"""Prefix tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.core.config import Alias
from bench.core.distributions import Float, Int, SearchSpace
from bench.methods.base import Method, TunedModel
from bench.methods.prompt_tuning import some_text

if TYPE_CHECKING:
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


class PrefixTuning(Method):
    """Prefix tuning: P trainable keys and values in every layer of a frozen decoder (Li & Liang, 2021)."""

    title = "Prefix tuning"
    citation = "Li, Liang: Prefix-Tuning: Optimizing Continuous Prompts for Generation. ACL 2021. arXiv:2101.00190"
    training_defaults = {"learning_rate": 1e-2}
    when_to_use = (
        "Where a prompt at the input is too little: its keys and values act in every layer, and no input "
        "embedding is touched. Decoders, and encoders that take keys and values."
    )
    traps = (
        "init: random has variance 1, as in the paper's code and PEFT, and can drown the model's own keys. "
        "Compare init: zero and init: text.",
        "Its best learning rate depends on init and on projection: a rate that was found for one is none for another.",
        "Families that take no keys and values from outside refuse it: encoder-decoders, DistilBERT, DeBERTa, "
        "MPNet. So does training with gradient checkpointing.",
    )

    num_virtual_tokens: int = Field(20, gt=0)
    """P, the number of virtual tokens."""
    init: Annotated[Literal["random", "zero", "text"], Alias("init_weights")] = "random"
    """random: variance 1, as in the paper's code and in peft; zero: keys and values of zeros; text: the keys and values
    that the model itself computes for `init_text`, the paper's better start for small data (section 7.4)."""
    init_text: str | None = None
    """Text for `init: text`, trimmed or repeated to P tokens; null names the label words."""
    init_special_tokens: bool = False
    """Tokenise `init_text` with the special tokens that the tokenizer puts around a text."""
    projection: Annotated[bool, Alias("prefix_projection")] = False
    """Train an MLP that yields the prefix instead of the prefix itself (section 4.3)."""
    hidden_size: Annotated[int, Alias("encoder_hidden_size")] = Field(512, gt=0)
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
        from bench.methods.initial_prompt import initial_tokens
        from bench.methods.tuned.prefix_tuning import TrainedPrefix

        settings = {
            "prefix_projection": self.projection,
            "encoder_hidden_size": self.hidden_size,
            "init_weights": "zero" if self.init == "zero" else None,
        }
        tuned = TrainedPrefix(base, self.num_virtual_tokens, settings, seed)
        if self.init == "text":
            ids = initial_tokens(base, dataset, self.init_text, self.init_special_tokens, self.num_virtual_tokens)
            tuned.begin_with(ids)
        return tuned
