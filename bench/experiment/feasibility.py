"""Whether a cell can run at all: known from its tokenizer and its context, before a trial is spent on it.

Only what is on this machine is looked at, and mostly without torch: a model that has to be fetched or converted first
answers when its trials begin.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.core.distributions import Choice
from bench.core.entries import Entry
from bench.core.errors import BadInput, one_line
from bench.datasets.answers import Answer
from bench.datasets.splits import Splits
from bench.experiment.cell import Cell
from bench.methods import methods
from bench.methods.tokens import label_tokens
from bench.metrics import metrics
from bench.models import models
from bench.models.kinds import POSITIONS, RELATIVE, Kind

_GENERATE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


class _Tokenizer:
    """A ``tokenizer.json``, called as those of transformers are."""

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing narrower
            raise BadInput(f"{file}: no tokenizer that can be read: {one_line(error, 200)}") from None

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids}

    def makes(self, text: str) -> bool:
        """Whether a text can come out of it: as a token of its own, or between other letters."""
        ids = self._tokenizer.encode(f"a{text}a", add_special_tokens=False).ids
        return self._tokenizer.token_to_id(text) is not None or text in self._tokenizer.decode(ids)


def looked_at(cell: Cell) -> bool:
    """Whether the model of a cell is here to be looked at; so is one that uses none."""
    if cell.model is None:
        return True
    source = models.build(cell.model.name, cell.model.options, cell.title)
    return all(download.cached for download in source.downloads()) and source.ready()


def infeasible(cell: Cell, splits: Splits) -> str | None:
    """Return why no trial of a cell can run, or None if one may.

    Args:
        cell: what is going to run.
        splits: of its data set.
    """
    method = methods.build(cell.method.name, cell.method.options, cell.title)
    if (refused := method.refuses(splits.answer)) is not None:
        return refused
    if cell.model is None or not looked_at(cell):
        return None
    source = models.build(cell.model.name, cell.model.options, cell.title)
    folder = source.folder()
    if not (folder / "tokenizer.json").is_file() or not (config := _read(folder / "config.json")):
        return None
    architectures = [str(name) for name in config.get("architectures") or ()]
    if source.bits and _is_encoder(folder, architectures):
        return f"load_in_{source.bits}bit: an encoder is not quantised"
    if not splits.answer.same_for_all and _is_encoder(folder, architectures):
        return f"an encoder answers by a head over label words, and the answers are {splits.answer.title}"
    longest, labels = 0, splits.labels
    if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures):
        tokens = [label_tokens(_tokenizer(folder), splits.template, word) for word in labels]  # type: ignore[arg-type]
        for place, ids in enumerate(tokens):
            if ids in tokens[:place]:
                other = labels[tokens.index(ids)]
                return f"label_words: {labels[place]!r} and {other!r} are the same tokens for this model's tokenizer"
        longest = max(map(len, tokens), default=0)
    limits = () if RELATIVE in config else (config.get(name) for name in POSITIONS)
    context = next((length for length in limits if isinstance(length, int)), None)
    virtual = fewest_virtual_tokens(cell)
    if context is not None and virtual + longest >= context:
        return f"{virtual} virtual tokens and a label of {longest} leave no room for text in {context} positions"
    most = cell.training.max_length
    if most is not None and longest >= most:
        return f"training.max_length: a label of {longest} tokens leaves no room for text in {most}"
    return _cannot_write(splits.answer, folder, context and context - virtual) if writes(cell) else None


def writes(cell: Cell) -> bool:
    """Whether any metric of the cell's data set scores written text."""
    given = [Entry.model_validate(one) for one in cell.dataset.options.get("metrics", ())]
    return any(metrics.build(one.name, one.options, one.label).scored == "text" for one in given)


def _is_encoder(folder: Path, architectures: list[str]) -> bool:
    """Whether a model is an encoder; transformers, which is slow to import, is asked where no name says otherwise."""
    if any(name.endswith(_GENERATE) for name in architectures):
        return False
    from transformers import AutoConfig

    try:
        return Kind.of(AutoConfig.from_pretrained(folder, trust_remote_code=False)) is Kind.ENCODER
    except Exception:  # none that transformers knows, in whichever way its releases say so: a trial will tell
        return False


def _cannot_write(answer: Answer, folder: Path, room: int | None) -> str | None:
    """Return why a model cannot write such answers; ``room`` are its positions beside a prompt."""
    new = answer.generate.max_new_tokens
    if room is not None and new >= room:
        return f"generate.max_new_tokens: an answer of {new:,} tokens leaves no room for text in {room:,} positions"
    tokenizer = _tokenizer(folder)
    for text in answer.generate.stop:
        if not tokenizer.makes(text):
            return f"generate.stop: {text!r} cannot come out of this model's tokenizer"
    settings = _read(folder / "tokenizer_config.json") or {}
    if answer.chat and not (folder / "chat_template.jinja").is_file() and "chat_template" not in settings:
        return "format: chat: this model's tokenizer has no chat template; take format: instruction"
    return None


def fewest_virtual_tokens(cell: Cell) -> int:
    """Return the fewest virtual tokens that a trial of the cell may have; 0 for a method that knows none."""
    searched = cell.search.get("num_virtual_tokens")
    if isinstance(searched, Choice):
        return min(int(value) for value in searched.choices if isinstance(value, int | float))
    if searched is not None:
        return int(searched.low)
    method = methods.build(cell.method.name, cell.method.options, cell.title)
    return int(method.options().get("num_virtual_tokens") or 0)


@lru_cache(maxsize=8)
def _tokenizer(folder: Path) -> _Tokenizer:
    return _Tokenizer(folder / "tokenizer.json")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
