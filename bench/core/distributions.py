"""What a study may vary: ranges and choices, as an experiment file names them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bench.core.config import Config

Scalar = bool | int | float | str | None


def _checked(range_: Any) -> Any:
    """Refuse a range that holds nothing."""
    if range_.low > range_.high:
        raise ValueError(f"the range is upside down: low {range_.low:g} is above high {range_.high:g}")
    if range_.log and range_.low <= 0:
        raise ValueError(f"a logarithmic range must begin above 0, found low {range_.low:g}")
    return range_


class Float(Config):
    """A real number that a study varies, both ends included."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    """Draw on a logarithmic scale (learning rates)."""

    _check = model_validator(mode="after")(_checked)


class Int(Config):
    """A whole number that a study varies, both ends included."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """Draw on a logarithmic scale."""

    _check = model_validator(mode="after")(_checked)


class Choice(Config):
    """One of a list of values that a study varies."""

    kind: Literal["choice"] = "choice"
    choices: tuple[Scalar, ...] = Field(min_length=1)


Distribution = Float | Int | Choice
SearchSpace = dict[str, Distribution]
"""What a study may vary: a field of the method or of the training, and its distribution."""
