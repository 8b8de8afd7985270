"""From rows to splits: render, remove duplicates and texts with several labels, draw stratified by label.

The result depends on the set of rows, the template and `split_seed`, and on nothing else: not on the order
of the rows, the hash seed of Python or the random generator of a library. Examples are
put in one stratified order of which every stretch holds the labels in their proportions; test is the
beginning, validation comes next, train is what follows. So test and validation stay as they are
whatever `train_size` is, and a smaller train split is part of a larger one. With folds, test is the stretch
that is asked for, one of K of equal length, and the order goes on behind it, round to its beginning.
"""

from __future__ import annotations

import hashlib
import unicodedata
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from pydantic import Field

from bench.core.config import Config, content_hash
from bench.core.errors import BadInput
from bench.datasets.answers import Answer
from bench.datasets.examples import Example, Row, Split
from bench.datasets.splits import Splits
from bench.datasets.template import columns, missing_column, render

_PRECEDENCE: tuple[Split, ...] = ("test", "validation", "train")
"""A text that the source has in two of its splits stays in the first of these."""


class SplitRule(Config):
    """How splits are drawn from rows: what every data set says of that."""

    template: str = "{text}"
    """What the model reads before it answers; names the source's columns in braces."""
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
    rows. Trials see the rows outside fold 0 only, unless ``nested``."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """What messages call the data."""
        raise NotImplementedError

    @property
    @abstractmethod
    def answer(self) -> Answer:
        """What an answer is."""
        raise NotImplementedError


def split(rows: Iterable[Row], labels: tuple[str, ...], dataset: SplitRule, fold: int = 0) -> Splits:
    """Return the three splits of a data set; see `bench.datasets.base.Dataset.splits`."""
    kept, empty = _distinct(rows, labels, dataset)
    own: dict[Split, list[Example]] = {
        name: _stratified_order((example for where, example in kept if where == name), dataset.split_seed)
        for name in _PRECEDENCE
    }
    pool = own["train"]
    if dataset.folds:
        if own["test"]:
            raise BadInput(f"{dataset.origin}: has a test split of its own; leave out folds, or the test split")
        return _fold(dataset, fold, pool, own["validation"], empty)
    test_size = _size(dataset, "test", dataset.test_size, own, most=1000, share=5)
    validation_size = _size(dataset, "validation", dataset.validation_size, own, most=500, share=10)

    drawn = {"test_size": 0 if own["test"] else test_size}
    drawn["validation_size"] = 0 if own["validation"] else validation_size
    drawn["train_size"] = dataset.train_size or 1
    if sum(drawn.values()) > len(pool):
        wanted = " + ".join(f"{name} {size}" for name, size in drawn.items() if size)
        raise BadInput(
            f"{dataset.origin}: {wanted} is more than the {len(pool)} rows there are to draw from "
            f"({empty.duplicates} duplicates left out)"
        )
    begin = drawn["test_size"]
    middle = begin + drawn["validation_size"]
    end = middle + dataset.train_size if dataset.train_size else None
    train = tuple(pool[middle:end])
    validation = tuple((own["validation"] or pool[begin:])[:validation_size])
    test = tuple((own["test"] or pool)[:test_size])
    content = {
        "train": [_content(e) for e in train],
        "validation": [_content(e) for e in validation],
        "test": [_content(e) for e in test],
    }
    revision = content_hash([content, labels])
    return replace(empty, train=train, validation=validation, test=test, revision=revision)


def redrawn(rows: Iterable[Row], labels: tuple[str, ...], dataset: SplitRule, draw: int) -> Splits:
    """Return another draw of all three splits from the same rows; see `Dataset.splits`.

    Its revision is that of the first draw: the runs of a cell use the same data.

    Raises:
        BadInput: the source has a validation or a test split of its own, or the data set is cut into folds.
    """
    rows = list(rows)
    kept = _distinct(rows, labels, dataset)[0]
    if dataset.folds or any(where != "train" for where, _ in kept):
        raise BadInput(
            f"{dataset.origin}: finals.splits is 'redraw', but its splits are "
            f"{'folds' if dataset.folds else 'its own'}; leave out one or the other"
        )
    first = split(rows, labels, dataset)
    chosen_by = {example.id for example in first.validation}
    order = _stratified_order((example for _, example in kept), f"{dataset.split_seed}, draw {draw}")
    test = [example for example in order if example.id not in chosen_by][: len(first.test)]
    tested = {example.id for example in test}
    rest = [example for example in order if example.id not in tested]
    begin = len(first.validation)
    return replace(
        first,
        test=tuple(test),
        validation=tuple(rest[:begin]),
        train=tuple(rest[begin : begin + dataset.train_size] if dataset.train_size else rest[begin:]),
    )


def _fold(dataset: SplitRule, fold: int, pool: list[Example], validation: list[Example], empty: Splits) -> Splits:
    """Return the splits that test on one fold of ``pool``, a stratified order."""
    number = dataset.folds or 1
    begin, end = (len(pool) * edge // number for edge in (fold, fold + 1))
    rest = pool[end:] + pool[:begin]
    # A fifth, where nothing is asked for: folds are for few rows, and a tenth of few is no measure.
    size = dataset.validation_size or len(validation) or max(1, len(rest) // 5)
    drawn = 0 if validation else size
    if end == begin or drawn + (dataset.train_size or 1) > len(rest) or (validation and size > len(validation)):
        raise BadInput(
            f"{dataset.origin}: {number} folds, validation_size {size} and train_size {dataset.train_size or 1} are "
            f"more than the {len(pool) + len(validation)} rows allow ({empty.duplicates} duplicates left out)"
        )
    # Over all folds, not this one alone: the runs of a cell use the same data.
    content = {
        "folds": number,
        "rows": [_content(e) for e in pool],
        "validation": [_content(e) for e in validation],
        "sizes": [size, dataset.train_size],
    }
    return replace(
        empty,
        train=tuple(rest[drawn:][: dataset.train_size]),
        validation=tuple((validation or rest)[:size]),
        test=tuple(pool[begin:end]),
        revision=content_hash([content, empty.labels]),
    )


def _distinct(
    rows: Iterable[Row], labels: tuple[str, ...], dataset: SplitRule
) -> tuple[list[tuple[Split, Example]], Splits]:
    """Return the examples that differ, each with its source's split, and splits that are empty as yet."""
    found = [(row.split or "train", _example(dataset, row, labels)) for row in rows]
    kept, conflicting = _without_duplicates(found, dataset.answer)
    left_out = len(found) - len(kept)
    return kept, Splits((), (), (), labels, "", left_out, dataset.template, conflicting, dataset.answer)


def _example(dataset: SplitRule, row: Row, labels: tuple[str, ...]) -> Example:
    for name in columns(dataset.template):
        if name not in row.fields:
            raise missing_column(dataset.origin, "the template names the column", name, row.fields)
    if not 0 <= row.label < len(row.answers or labels):
        what = f"a row has {len(row.answers)} answers" if row.answers else f"label_words has {len(labels)} words"
        raise BadInput(f"{dataset.origin}: {what}, but a row has label number {row.label}")
    example = Example("", render(dataset.template, row.fields), row.label, row.answers)
    return replace(example, id=hashlib.sha256(dataset.answer.asked(example).encode()).hexdigest()[:16])


def _without_duplicates(found: list[tuple[Split, Example]], answer: Answer) -> tuple[list[tuple[Split, Example]], int]:
    """Keep one example of each question, none whose rows in its split contradict each other; count the latter's rows.

    Sorted first, so that which row stays does not depend on the order of the rows.
    """

    def rank(item: tuple[Split, Example]) -> tuple[int, str, int, tuple[str, ...]]:
        where, example = item
        return (_PRECEDENCE.index(where), example.text, example.label, example.answers)

    groups: dict[str, list[tuple[Split, Example]]] = defaultdict(list)
    for item in sorted(found, key=rank):
        groups[normalised(answer.asked(item[1]))].append(item)
    kept, conflicting = [], 0
    for group in groups.values():
        first = group[0][0]
        merged = answer.merged([example for where, example in group if where == first])
        if merged is None:
            conflicting += len(group)
        else:
            kept.append((first, merged))
    return kept, conflicting


def _content(example: Example) -> list[object]:
    """Return what of an example a data set's revision is the hash of."""
    return [example.text, example.label, *([list(example.answers)] if example.answers else [])]


def normalised(text: str) -> str:
    """Return what two texts share that a reader would call the same: NFKC, spaces collapsed, case folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _stratified_order(examples: Iterable[Example], seed: int | str) -> list[Example]:
    """Shuffle, and spread the examples of each label evenly over the whole length.

    The i-th of a label's n examples goes to (i + 1/2) / n of the way; ties are broken by the shuffle.
    """
    by_label: dict[int, list[tuple[str, Example]]] = defaultdict(list)
    for example in examples:
        by_label[example.label].append((hashlib.sha256(f"{seed}/{example.id}".encode()).hexdigest(), example))
    placed = []
    for group in by_label.values():
        group.sort(key=lambda item: item[0])
        placed += [((2 * i + 1) / len(group), key, example) for i, (key, example) in enumerate(group)]
    placed.sort(key=lambda item: item[:2])
    return [example for _, _, example in placed]


def _size(
    dataset: SplitRule, name: Split, asked: int | None, own: dict[Split, list[Example]], most: int, share: int
) -> int:
    """Return how many examples a split is to have: what was asked for, or the default of `Dataset`."""
    if not own[name]:
        return asked or max(1, min(most, len(own["train"]) // share))
    if asked and asked > len(own[name]):
        raise BadInput(f"{dataset.origin}: {name}_size is {asked}, but its {name} split has {len(own[name])} rows")
    return asked or len(own[name])
