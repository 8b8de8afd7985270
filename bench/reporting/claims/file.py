"""The file of claims: published sentences, and the cells that test them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from bench.core.config import Config
from bench.experiment.file import read_config


class Claim(Config):
    """A published sentence, and the number of ours that tests it."""

    id: str
    says: str
    """The sentence, in our words."""
    where: str
    """Paper and section."""
    experiment: str
    """Name of the experiment whose records test it; those of others are never mixed in."""
    dataset: str
    """Label of the data set."""
    metric: str = "accuracy"
    """On test; of ``rate_ratio`` on validation."""
    models: tuple[str, ...]
    """Labels of the models."""
    least: int | None = Field(default=None, ge=1)
    """How many of the models have to be there; None is all."""
    test: Literal["difference", "slope", "rate_ratio"]
    """``difference``: mean of the first method minus that of the second. ``slope``: how this difference changes with a
    model ten times as large. ``rate_ratio``: best learning rate of the first over that of the second."""
    first: str
    """Label of a method."""
    second: str | None = None
    """Label of the other; without it ``difference`` is the first method's own score, ``slope`` that of its score."""
    over: Literal["mean", "any"] = "mean"
    """``mean``: of the models. ``any``: one model is enough, with the level of the interval corrected for their number
    (Bonferroni); that none is there contradicts nothing."""
    transfer: str | None = None
    """Label of a data set that finals were tested on besides their own, where the sentence is about that."""
    above: float | None = None
    """The number is above this, if the sentence is true."""
    below: float | None = None
    """The number is below this, if the sentence is true."""
    note: str = ""
    """Where the test differs from what was published."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("above or below has to say what the sentence expects")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"above ({self.above:g}) has to be less than below ({self.below:g})")
        if self.test == "rate_ratio" and (self.second is None or self.transfer):
            raise ValueError("rate_ratio needs first and second, and knows no transfer")
        if self.test == "slope" and (self.over == "any" or self.needed < 2):
            raise ValueError("slope is over two models at least, all of them together")
        if not self.models or self.needed > len(self.models):
            raise ValueError(f"least is {self.needed}, and there are {len(self.models)} models")
        return self

    @property
    def needed(self) -> int:
        """How many models have to be there."""
        return self.least or len(self.models)


class Claims(Config):
    """A file of claims."""

    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if not self.claims:
            raise ValueError("expected a claim at least, found none")
        ids = [claim.id for claim in self.claims]
        if twice := sorted({one for one in ids if ids.count(one) > 1}):
            raise ValueError(f"the id {twice[0]!r} stands here a second time")
        return self


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Read a file of claims.

    Raises:
        BadInput: one line a finding: file, key, what was found and what would be right.
    """
    return read_config(Claims, path, "claims").claims
