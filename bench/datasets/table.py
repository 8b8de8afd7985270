"""What `local` and `hub` share: a table with a column of labels becomes rows with label words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

from bench.core.config import content_hash
from bench.core.errors import BadInput, did_you_mean
from bench.datasets.base import Dataset, Row, Split
from bench.datasets.template import columns, missing_column


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a table, all text."""

    place: str
    """Where it stands, for messages: ``reviews.csv, row 17``."""
    fields: dict[str, str]
    split: Split | None


def _read_words(given: Any) -> Any:
    """Turn a list of words into a mapping, and numbers into text; YAML's booleans are refused."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        given = dict(zip(given, given, strict=True))
    if not isinstance(given, Mapping):
        return given
    if any(isinstance(word, bool) for word in (*given.keys(), *given.values())):
        raise ValueError("put quotes around yes, no, true and false: without them YAML reads no words")
    words = {str(value).strip(): str(word) for value, word in given.items()}
    if len(set(words.values())) < 2 or not all(word.strip() for word in words.values()):
        raise ValueError(f"expected two or more different words, found {', '.join(map(repr, words.values()))}")
    return words


FEW = 10
"""Different labels that any column may have, whatever they look like."""
_FRACTION = re.compile(r"[-+]?\d*[.,]\d*[1-9]\d*([eE][-+]?\d+)?")
"""A number with something behind its point."""

Words = Annotated[dict[str, str] | None, BeforeValidator(_read_words)]


class Table(Dataset):
    """A table with a column of labels. Its label words are known once it is read: see `Splits.labels`."""

    label_column: str = "label"
    """The column that holds the labels."""
    # Wider than in Dataset on purpose: `read` answers with the words, in every data set.
    label_words: Words = None  # type: ignore[assignment]
    """The answer for each value of the label column: a mapping from value to word, a list if the
    values are the words themselves, or null to take the values that are found."""

    def pin(self) -> str | None:
        """Return what pins the content beyond the options, the order of the labels included."""
        pin, words = super().pin(), self.label_words or {}
        # Label indices follow the order of the mapping, which a hash of the options does not see.
        if _labels(words) == _labels(dict(sorted(words.items()))):
            return pin
        return content_hash([pin, _labels(words)])

    def records(self) -> tuple[list[Record], Sequence[str] | None]:
        """Return all rows, and the label values in the source's own order where it has one."""
        raise NotImplementedError

    def rows(self) -> Iterable[Row]:
        """Read the source; may download it."""
        return self.read()[0]

    def read(self) -> tuple[list[Row], tuple[str, ...]]:
        """Return the rows and the label words.

        Raises:
            BadInput: a missing column, an empty text, a label that is missing or unknown, or only one label.
        """
        records, order = self.records()
        for record in records:
            self._check(record)
        values = {self._label(record) for record in records}
        if self.label_words is None and order is None:
            self._check_classes([self._label(record) for record in records])
        words: Mapping[str, str] = self.label_words or {v: v for v in order or sorted(values) if v in values}
        for record in records:
            if self._label(record) not in words:
                raise BadInput(
                    f"{record.place}: the label {self._label(record)!r} in column '{self.label_column}' "
                    f"is not in label_words{did_you_mean(self._label(record), words)}"
                )
        found = {words[value] for value in values}
        if len(found) < 2:
            raise BadInput(
                f"{self.origin}: column '{self.label_column}' has one label only, {found.pop()!r}; two are needed"
            )
        labels = _labels(words)
        number = {value: labels.index(word) for value, word in words.items()}
        return [Row(record.fields, number[self._label(record)], record.split) for record in records], labels

    def _check_classes(self, found: Sequence[str]) -> None:
        """Refuse a column that was never meant as one of classes: measured numbers, or another text in every row."""
        what = f"{self.origin}: column '{self.label_column}'"
        remedy = "name the right column by label_column, or list the classes by label_words"
        values = set(found)
        measured = next((value for value in sorted(values) if _FRACTION.fullmatch(value)), None)
        if measured is not None and len(values) > FEW:
            raise BadInput(f"{what} holds numbers such as {measured}, and labels are classes; {remedy}")
        if len(values) > max(FEW, len(found) // 2):
            raise BadInput(f"{what} has {len(values)} different values in {len(found)} rows; {remedy}")

    def _label(self, record: Record) -> str:
        return record.fields[self.label_column].strip()

    def _check(self, record: Record) -> None:
        named = columns(self.template)
        check_columns(record.place, self.label_column, named, record.fields)
        if not any(record.fields[name].strip() for name in named):
            raise BadInput(f"{record.place}: the text is empty (column {', '.join(map(repr, named))})")
        if not self._label(record):
            raise BadInput(
                f"{record.place}: column '{self.label_column}' is empty; a row without a label cannot be used"
            )


def check_columns(place: str, label: str, named: Iterable[str], known: Iterable[str]) -> None:
    """Raise `BadInput` unless the label column and all columns that the template names are there."""
    if label not in known:
        raise missing_column(place, "label_column is", label, known)
    for name in named:
        if name not in known:
            raise missing_column(place, "the template names the column", name, known)


def _labels(words: Mapping[str, str]) -> tuple[str, ...]:
    """Return the different words in the order in which the mapping names them."""
    return tuple(dict.fromkeys(words.values()))
