"""What a data set yields: rows as its source has them, and splits of examples as a model reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.datasets.template import columns, render

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row as its source has it."""

    fields: dict[str, str]
    """The columns that the template may name."""
    label: int
    """Index into the data set's label words."""
    split: Split | None = None
    """The split that the source itself assigns. A split that no row of the source has is drawn from
    the rows with ``"train"`` or None."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a split."""

    id: str
    """First 16 hexadecimal digits of the sha256 of its text; the same in every run."""
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
    """sha256 over all examples and label words: what was really used. The same for every fold."""
    duplicates: int
    """Rows left out because their text had been seen."""
    template: str = "{text}"
    """The template that rendered the examples."""

    def filled(self, text: str) -> str:
        """Return the template with ``text`` in place of every column, as a method may ask for."""
        return render(self.template, dict.fromkeys(columns(self.template), text))
