"""(IA)^3."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from bench.core.distributions import Float, SearchSpace
from bench.methods.peft_method import PeftMethod


class IA3(PeftMethod):
    """(IA)^3: trained vectors that rescale keys, values and feed-forward activations (Liu et al., 2022), by peft."""

    title = "(IA)^3"
    peft_class = "IA3Config"
    citation = (
        "Liu et al.: Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning. "
        "NeurIPS 2022. arXiv:2205.05638"
    )
    training_defaults = {"learning_rate": 3e-3}
    when_to_use = (
        "Where a task has to be tiny and the model is good already: a vector rescales keys, values and feed-"
        "forward activations, and can be folded into the weights."
    )
    traps = (
        "It can only strengthen and weaken what is there, and needs a high learning rate (3e-3 in the paper).",
        "With target_modules of your own PEFT rescales no feed-forward layer unless feedforward_modules names it.",
    )

    feedforward_modules: tuple[str, ...] | None = None
    """Those of `target_modules` whose input is rescaled instead of their output; null is peft's choice."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = isinstance(self.target_modules, tuple)
        if self.feedforward_modules and not (named and set(self.feedforward_modules) <= set(self.target_modules or ())):
            raise ValueError("feedforward_modules must be among target_modules")
        return self

    def search_space(self) -> SearchSpace:
        """Learning rate; the paper trains with 3e-3."""
        return {"learning_rate": Float(low=3e-4, high=3e-2, log=True)}

    def peft_fields(self) -> dict[str, Any]:
        """Return those of peft's IA3Config."""
        # With layers of one's own peft takes no feed-forward layers unless they are named.
        return {"feedforward_modules": list(self.feedforward_modules or ()) if self.target_modules else None}
