"""Answers on text that the harness never saw."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scipy.special import softmax

from bench.artifacts.loading import LoadedRun
from bench.core.errors import BadInput
from bench.datasets.examples import Example
from bench.datasets.files import read_table
from bench.datasets.template import columns, missing_column, render
from bench.forward.settings import Generate
from bench.methods.base import TunedModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from bench.forward.generation import OnToken


@dataclass(frozen=True)
class Answer:
    """What a run answers to one text."""

    text: str
    """The rendered template: what the model read."""
    label: str
    probabilities: Mapping[str, float]
    """Softmax over the scores of the label words."""
    base: Mapping[str, float] | None
    """The same of the base model without what was trained; None where nothing was, and for an encoder, which does not
    answer without its head."""


def predict(loaded: LoadedRun, texts: Sequence[str]) -> list[Answer]:
    """Answer texts as `inputs` renders them, by the run's method; the label with the highest score is the answer."""
    examples = [_example(text) for text in texts]
    labels = loaded.splits.labels
    before = None
    if loaded.base is not None and loaded.run.adapter is not None and loaded.base.kind.generates:
        before = softmax(loaded.scorer(TunedModel(loaded.base)).run(examples).scores, axis=1)
    with loaded.trained() as scorer:
        after = softmax(scorer.run(examples).scores, axis=1)
    return [
        Answer(
            text=text,
            label=labels[int(after[row].argmax())],
            probabilities=dict(zip(labels, after[row].tolist(), strict=True)),
            base=None if before is None else dict(zip(labels, before[row].tolist(), strict=True)),
        )
        for row, text in enumerate(texts)
    ]


@dataclass(frozen=True)
class WrittenAnswer:
    """What a run writes to one text."""

    text: str
    """The rendered template: what the model read."""
    answer: str
    ended: str
    """``end``, ``stop`` or ``limit``: see `bench.forward.generation.Generated`."""
    base: str | None
    """What the base model writes without what was trained; None where nothing was."""


def write(
    loaded: LoadedRun, texts: Sequence[str], settings: Generate, say: Callable[[str], None] | None = None
) -> list[WrittenAnswer]:
    """Answer texts in free text, by the run's method.

    Args:
        loaded: the run.
        texts: as `inputs` renders them.
        settings: how answers are written.
        say: told of an answer piece by piece, while it is written; for one text.
    """
    encoder = loaded.encoder
    if encoder is not None:
        encoder.answer = encoder.answer.model_copy(update={"generate": settings})
    examples = [_example(text) for text in texts]
    with loaded.trained() as scorer:
        after = scorer.write(examples, _pieces(encoder.tokenizer, say) if encoder and say else None)
    before = None
    if loaded.base is not None and loaded.run.adapter is not None:
        before = loaded.scorer(TunedModel(loaded.base)).write(examples)
    return [
        WrittenAnswer(text, one.text, one.ended, None if before is None else before[row].text)
        for row, (text, one) in enumerate(zip(texts, after, strict=True))
    ]


def _pieces(tokenizer: PreTrainedTokenizerBase, say: Callable[[str], None]) -> OnToken:
    """Turn tokens into pieces of text; a character of several tokens is told once it is whole."""
    ids: list[int] = []
    told = ""

    def on_token(index: int, token: int) -> None:
        nonlocal told
        ids.append(token)
        text = str(tokenizer.decode(ids, skip_special_tokens=True))
        if text.startswith(told) and not text.endswith("\ufffd"):
            say(text[len(told) :])
            told = text

    return on_token


def _example(text: str) -> Example:
    return Example(hashlib.sha256(text.encode()).hexdigest()[:16], text, 0)


def inputs(
    template: str,
    texts: Sequence[str],
    file: Path | None,
    filled: Callable[[dict[str, str]], dict[str, str]] = dict,
) -> list[str]:
    """Render what is to be answered.

    Args:
        template: the data set's template.
        filled: adds to a row of the file what the data set's format makes of its columns.
        texts: each stands for the template's only column.
        file: a table that has the template's columns (CSV, TSV, JSON Lines, Parquet), or a ``.txt``, a text a line.

    Raises:
        BadInput: no text, an empty text, a missing column, or a file that cannot be read.
    """
    named = columns(template)
    rows = [_only(named, text, "--text") for text in texts]
    if file is not None and file.suffix == ".txt":
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{file}: cannot be read: {error}") from None
        rows += [_only(named, line, str(file)) for line in lines if line.strip()]
    elif file is not None:
        for place, given in read_table(str(file)):
            fields = filled(given)
            for name in named:
                if name not in fields:
                    raise missing_column(place, "the template names the column", name, fields)
            rows.append(fields)
    if not rows:
        raise BadInput("nothing to answer: give --text TEXT, or --file with at least one row")
    return [render(template, fields) for fields in rows]


def _only(named: Sequence[str], text: str, where: str) -> dict[str, str]:
    if len(named) != 1:
        raise BadInput(
            f"{where}: the template names the columns {', '.join(named)}; give a table that has them by --file"
        )
    if not text.strip():
        raise BadInput(f"{where}: the text is empty")
    return {named[0]: text}
