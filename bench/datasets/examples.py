"""What a data set yields: rows as its source has them, and examples as a model reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row as its source has it."""

    fields: dict[str, str]
    """The columns that the template may name."""
    label: int = 0
    """Index into the data set's label words, or into `answers` where those are options."""
    split: Split | None = None
    """The split that the source itself assigns. A split that no row of the source has is drawn from
    the rows with ``"train"`` or None."""
    answers: tuple[str, ...] = ()
    """What may be answered to this row alone: its options, or the references of a free text."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a split."""

    id: str
    """First 16 hexadecimal digits of the sha256 of its text, with its options if it has some; the same in every
    run."""
    text: str
    """The rendered template: what stands before the answer."""
    label: int
    """Index of the right answer: among the label words, or among `answers`."""
    answers: tuple[str, ...] = ()
    """What may be answered to this example alone; none where that are the label words."""


def split_of(group: str) -> Split:
    """Return the split of all rows of a group, such as an article: a tenth of groups is for validation, one for test.

    It depends on the group's name alone, so it stays when a source grows.
    """
    tenth = hashlib.sha256(group.encode()).digest()[0] % 10
    return "test" if tenth == 0 else "validation" if tenth == 1 else "train"
