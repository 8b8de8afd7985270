"""The settings of generation, apart from what generates: an experiment file is read without torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from bench.core.config import Config


def _texts(value: Any) -> Any:
    """Read a single text as a list of one."""
    return (value,) if isinstance(value, str) else value


class Generate(Config):
    """How answers are generated; names follow `transformers.GenerationConfig` where it has them."""

    max_new_tokens: int = Field(64, gt=0, le=1_000_000)
    """Tokens of the longest answer."""
    stop: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1)], ...],
        BeforeValidator(_texts, json_schema_input_type=str | tuple[str, ...]),
    ] = ()
    """Texts at which an answer ends, besides the model's own end token; they are no part of it."""
    temperature: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Logits are divided by it before a token is drawn; 0 takes the likeliest token (greedy)."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Draw from the likeliest tokens whose probabilities add up to this (Holtzman et al., 2020)."""
    seed: int = Field(0, ge=0)
    """Seeds the draws; an answer depends on it and on the input's place among the inputs, not on the batches."""

    @model_validator(mode="after")
    def _check(self) -> Generate:
        if self.temperature == 0 and self.top_p < 1:
            raise ValueError(f"top_p is {self.top_p:g}, but at temperature 0 nothing is drawn; set temperature too")
        return self
