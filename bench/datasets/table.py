"""What `local` and `hub` share: a table with a column of labels, of options or of texts becomes rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from bench.core.config import content_hash
from bench.core.errors import BadInput, did_you_mean
from bench.datasets.answers import Answer, LabelWord, Option, WrittenAnswers
from bench.datasets.base import BaseDataset
from bench.datasets.examples import Row, Split
from bench.datasets.template import columns, missing_column
from bench.forward.settings import Generate


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a table, all text."""

    place: str
    """Where it stands, for messages: ``reviews.csv, row 17``."""
    fields: dict[str, str]
    split: Split | None


def _read_words(given: Any) -> Any:
    """Turn a list of words into a mapping, and numbers into text; YAML's booleans are refused."""
    listed = isinstance(given, Sequence) and not isinstance(given, str)
    if not listed and not isinstance(given, Mapping):
        return given
    pairs = [(word, word) for word in given] if listed else list(given.items())
    for word in (word for pair in pairs for word in pair):
        if isinstance(word, bool):
            raise ValueError("put quotes around yes, no, true and false: without them YAML reads no words")
        if not isinstance(word, str | int | float):
            raise ValueError(f"expected a word for each value of the label column, found {word!r:.100}")
    given = dict(pairs)
    words = {str(value).strip(): str(word) for value, word in given.items()}
    if len(set(words.values())) < 2 or not all(word.strip() for word in words.values()):
        raise ValueError(f"expected two or more different words, found {', '.join(map(repr, words.values()))}")
    return words


FormatName = Literal["instruction", "alpaca", "chat", "question_answer"]


@dataclass(frozen=True)
class Format:
    """What the columns of a known kind of table become."""

    columns: tuple[str, ...]
    """The columns that have to be there."""
    optional: tuple[str, ...]
    """Those that may be missing or empty."""
    request: Callable[[Mapping[str, str]], str]
    """What stands for ``{request}`` in the template."""
    template: str
    answer_column: str
    chat: bool = False
    """Whether the text stands in the tokenizer's chat template."""


def _instruction(fields: Mapping[str, str]) -> str:
    return "\n".join([fields["instruction"], fields["input"]]).strip()


def _alpaca(fields: Mapping[str, str]) -> str:
    further = fields["input"].strip()
    context = ", paired with an input that provides further context" if further else ""
    shown = f"\n\n### Input:\n{fields['input']}" if further else ""
    return (
        f"Below is an instruction that describes a task{context}. Write a response that appropriately completes the "
        f"request.\n\n### Instruction:\n{fields['instruction']}{shown}"
    )


def _question(fields: Mapping[str, str]) -> str:
    context = fields["context"].strip()
    return f"{context}\nQuestion: {fields['question']}" if context else f"Question: {fields['question']}"


FORMATS: dict[FormatName, Format] = {
    # As guides to prompt tuning write it: one line for an instruction without input.
    "instruction": Format(("instruction",), ("input",), _instruction, "Human: {request}\n\nAssistant: ", "output"),
    # The wording of Stanford Alpaca (Taori et al., 2023), with and without input.
    "alpaca": Format(("instruction",), ("input",), _alpaca, "{request}\n\n### Response:\n", "output"),
    "chat": Format(("instruction",), ("input",), _instruction, "{request}", "output", chat=True),
    "question_answer": Format(("question",), ("context",), _question, "{request}\nAnswer:", "answers"),
}

FEW = 10
"""Different labels that any column may have, whatever they look like."""
_FRACTION = re.compile(r"[-+]?\d*[.,]\d*[1-9]\d*([eE][-+]?\d+)?")
"""A number with something behind its point."""


def _is_none(value: Any) -> bool:
    return value is None


Words = Annotated[dict[str, str] | None, BeforeValidator(_read_words)]


class Table(WrittenAnswers, BaseDataset):
    """A table whose rows are answered by a label, by one of their own options, or in free text.

    Its label words are known once it is read: see `Splits.labels`.
    """

    label_column: str = "label"
    """The column that holds the labels; with `options_column` the one that says which option is right, by its text or
    its number from 0."""
    label_words: Words = None
    """The answer for each value of the label column: a mapping from value to word, a list if the
    values are the words themselves, or null to take the values that are found."""
    options_column: str | None = Field(None, exclude_if=_is_none)
    """The column that holds the options of each row, as a list (JSON, Parquet) or as text that is a JSON list. The
    option with the highest mean log-likelihood a token is the answer."""
    answer_column: str | None = Field(None, exclude_if=_is_none)
    """The column that holds the answer in free text; a list, or text that is a JSON list, is several references."""
    format: FormatName | None = Field(None, exclude_if=_is_none)
    """A ready template: ``instruction`` (columns instruction, input, output; ``Human: …`` and ``Assistant: ``),
    ``alpaca`` (the same in Alpaca's wording), ``chat`` (the same in the tokenizer's chat template), or
    ``question_answer`` (columns question, answers, as SQuAD has them or plain, and context if there is one)."""
    # Younger than the hashes of many records, in which they do not stand where they say nothing.
    loss_on: Literal["answer", "all"] = Field("answer", exclude_if="answer".__eq__)
    max_answer_tokens: int | None = Field(None, gt=1, exclude_if=_is_none)
    generate: Generate = Field(Generate(), exclude_if=Generate().__eq__)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_format(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("format"), str) and data["format"] in FORMATS:
            chosen = FORMATS[data["format"]]
            if "template" in data and data["template"] != chosen.template:
                raise ValueError(f"template: format {data['format']} brings its own; give one or the other")
            data = {"answer_column": chosen.answer_column, **data, "template": chosen.template}
        return data

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.options_column and self.answer_column:
            raise ValueError("options_column and answer_column: rows have options, or a free text; give one of them")
        if self.label_words and (self.options_column or self.answer_column):
            other = "options_column" if self.options_column else "answer_column"
            raise ValueError(f"label_words: these are answers of every row, and {other} has some of each row")
        answered = self.answer_column or self.label_column
        if not self.format and answered in columns(self.template):
            raise ValueError(f"template: {{{answered}}} is the column of the answers, and gives them away")
        written = [name for name in ("loss_on", "max_answer_tokens", "generate") if name in self.model_fields_set]
        if written and not self.answer_column:
            raise ValueError(f"{written[0]} is for answers in free text; name their column by answer_column")
        return self

    @property
    def answer(self) -> Answer:
        """What its columns say: free text, options, or label words."""
        if self.answer_column:
            return self.free_text(chat=self.format == "chat")
        return Option() if self.options_column else LabelWord()

    def pin(self) -> str | None:
        """Return what pins the content beyond the options, the order of the labels included."""
        pin, words = super().pin(), self.label_words or {}
        # Label indices follow the order of the mapping, which a hash of the options does not see.
        if _labels(words) == _labels(dict(sorted(words.items()))):
            return pin
        return content_hash([pin, _labels(words)])

    def columns(self) -> dict[str, str]:
        """Return the columns that have to be there, each with what asks for it."""
        asked = {}
        if self.answer_column:
            asked[self.answer_column] = "answer_column is"
        else:
            asked[self.label_column] = "label_column is"
        if self.options_column:
            asked[self.options_column] = "options_column is"
        chosen = FORMATS[self.format] if self.format else None
        named, who = (chosen.columns, "format takes") if chosen else (columns(self.template), "the template names")
        return {**dict.fromkeys(named, f"{who} the column"), **asked}

    def records(self) -> tuple[list[Record], Sequence[str] | None]:
        """Return all rows, and the label values in the source's own order where it has one."""
        raise NotImplementedError

    def rows(self) -> Iterable[Row]:
        """Read the source; may download it."""
        return self.read()[0]

    def read(self) -> tuple[list[Row], tuple[str, ...]]:
        """Return the rows and the label words, if there are such.

        Raises:
            BadInput: a missing column, an empty text, an answer that is missing or unknown, or only one label.
        """
        records, order = self.records()
        records = [self._formatted(record) for record in records]
        if self.answer_column:
            return [self._written(record, self.answer_column) for record in records], ()
        if self.options_column:
            return [self._with_options(record, self.options_column) for record in records], ()
        return self._labelled(records, order)

    def _labelled(self, records: list[Record], order: Sequence[str] | None) -> tuple[list[Row], tuple[str, ...]]:
        for record in records:
            if not self._label(record):
                raise BadInput(
                    f"{record.place}: column '{self.label_column}' is empty; a row without a label cannot be used"
                )
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
        if len({words[value] for value in values}) < 2:
            only = repr(words[next(iter(values))])
            raise BadInput(f"{self.origin}: column '{self.label_column}' has one label only, {only}; two are needed")
        labels = _labels(words)
        number = {value: labels.index(word) for value, word in words.items()}
        return [Row(record.fields, number[self._label(record)], record.split) for record in records], labels

    def _with_options(self, record: Record, column: str) -> Row:
        options, right = texts(record, column), self._label(record)
        if len(options) < 2 or len(set(options)) < len(options):
            raise BadInput(
                f"{record.place}: column '{column}': expected two or more different options, found {options}"
            )
        if right in options:
            return Row(record.fields, options.index(right), record.split, options)
        if right.isdecimal() and int(right) < len(options):
            return Row(record.fields, int(right), record.split, options)
        raise BadInput(
            f"{record.place}: column '{self.label_column}': {right!r} is none of the options {', '.join(options)}; "
            f"give the option's text, or its number from 0 to {len(options) - 1}"
        )

    def _written(self, record: Record, column: str) -> Row:
        return Row(record.fields, 0, record.split, tuple(dict.fromkeys(texts(record, column))))

    def _check_classes(self, found: Sequence[str]) -> None:
        """Refuse a column that was never meant as one of classes: measured numbers, or another text in every row."""
        what = f"{self.origin}: column '{self.label_column}'"
        remedy = (
            "name the right column by label_column, list the classes by label_words, or name a column of free text by "
            "answer_column"
        )
        values = set(found)
        measured = next((value for value in sorted(values) if _FRACTION.fullmatch(value)), None)
        if measured is not None and len(values) > FEW:
            raise BadInput(f"{what} holds numbers such as {measured}, and labels are classes; {remedy}")
        if len(values) > max(FEW, len(found) // 2):
            raise BadInput(f"{what} has {len(values)} different values in {len(found)} rows; {remedy}")

    def _label(self, record: Record) -> str:
        return record.fields[self.label_column].strip()

    def _formatted(self, record: Record) -> Record:
        """Check a row's columns, and add what its format makes of them."""
        for name, who in self.columns().items():
            if name not in record.fields:
                raise missing_column(record.place, who, name, record.fields)
        named = FORMATS[self.format].columns if self.format else columns(self.template)
        if not any(record.fields[name].strip() for name in named):
            raise BadInput(f"{record.place}: the text is empty (column {', '.join(map(repr, named))})")
        return Record(record.place, self.filled(record.fields), record.split)

    def filled(self, fields: dict[str, str]) -> dict[str, str]:
        """Return a row's columns with what its format makes of them."""
        chosen = FORMATS[self.format] if self.format else None
        if chosen is None or not set(chosen.columns) <= fields.keys():
            return fields
        fields = {**dict.fromkeys(chosen.optional, ""), **fields}
        return {**fields, "request": chosen.request(fields)}


def texts(record: Record, column: str) -> tuple[str, ...]:
    """Return the texts of a cell: those of a JSON list, of SQuAD's ``{"text": [...], ...}``, or the cell itself.

    Raises:
        BadInput: there is none, or one is empty or no text.
    """
    cell = record.fields[column]
    found: Any = [cell]
    if cell.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            read = json.loads(cell)
            listed = read.get("text") if isinstance(read, dict) and read.keys() == _SQUAD else read
            if isinstance(listed, list) and all(one is None or isinstance(one, str) for one in listed):
                found = [one or "" for one in listed]
    if not found or not all(one.strip() for one in found):
        raise BadInput(f"{record.place}: column '{column}' is empty, or holds an empty text; every row needs an answer")
    return tuple(found)


_SQUAD = {"text", "answer_start"}


def _labels(words: Mapping[str, str]) -> tuple[str, ...]:
    """Return the different words in the order in which the mapping names them."""
    return tuple(dict.fromkeys(words.values()))
