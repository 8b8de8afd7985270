"""What a study may vary: ranges and choices, as an experiment file names them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.core.config import Config

Scalar = bool | int | float | str | None


class Float(Config):
    """A real number that a study varies, both ends included."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    """Draw on a logarithmic scale (learning rates)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        return self


class Int(Config):
    """A whole number that a study varies, both ends included."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """Draw on a logarithmic scale."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        return self


class Choice(Config):
    """One of a list of values that a study varies."""

    kind: Literal["choice"] = "choice"
    choices: tuple[Scalar, ...] = Field(min_length=1)


Distribution = Float | Int | Choice
SearchSpace = dict[str, Distribution]
"""What a study may vary: a field of the method or of the training, and its distribution."""


def _check_range(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ValueError(f"the range is upside down: low {low:g} is above high {high:g}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must begin above 0, found low {low:g}")
