"""From text to token ids: the input, the label words, and what is cut when the context is too short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from bench.core.errors import BadInput, Infeasible
from bench.core.heartbeat import beat
from bench.forward.batch import Batch
from bench.methods.tokens import Specials
from bench.training.answers import ANSWERS, Pair

if TYPE_CHECKING:
    from bench.datasets.examples import Example
    from bench.models.language_model import LanguageModel

__all__ = ["Encoder", "Pair"]


class Encoder:
    """Encodes the examples of a data set for one base model.

    Texts are tokenised once; `fit` then cuts them to what a trial's method leaves of the context.

    Args:
        base: the base model, for its tokenizer and its context length.
        template: the data set's template; its end decides how a label word is attached.
        labels: the label words.
    """

    def __init__(self, base: LanguageModel, template: str, labels: Sequence[str]) -> None:
        self.tokenizer = base.tokenizer
        self.answers = ANSWERS[base.kind](base)
        self.generates = base.kind.generates
        self.context_length = base.context_length
        self.device = base.device
        self.pad_id: int = base.tokenizer.pad_token_id
        self.specials = Specials.of(base.tokenizer)
        self.labels = tuple(labels)
        self.label_ids = self.answers.label_ids(template, self.labels)
        self._check_labels()
        self._cache: dict[str, list[int]] = {}

    @property
    def single_token_labels(self) -> bool:
        """Whether every label is one token, or one class of a head, so that one row of logits scores them all."""
        return all(len(ids) == 1 for ids in self.label_ids)

    def room(self, virtual_tokens: int, max_length: int | None) -> int | None:
        """Return how many tokens of text fit, or None for any number.

        Raises:
            Infeasible: nothing of the text would be left.
        """
        limits = []
        if self.context_length is not None:
            limits.append(self.context_length - virtual_tokens)
        if max_length is not None:
            limits.append(max_length)
        if not limits:
            return None
        around = len(self.specials.before) + self.answers.beside(self.label_ids)
        room = min(limits) - around
        if room < 1:
            raise Infeasible(
                f"{virtual_tokens} virtual tokens and a label of {max(map(len, self.label_ids))} tokens leave no room "
                f"for text in {min(limits) + (virtual_tokens if max_length is None else 0)} positions"
            )
        return room

    def tokenise(self, examples: Sequence[Example]) -> None:
        """Tokenise what has not been tokenised yet."""
        missing = [e for e in examples if e.id not in self._cache]
        if missing:
            encoded = self.ids_of([e.text for e in missing])
            self._cache.update(zip((e.id for e in missing), encoded, strict=True))

    def ids_of(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of texts, without special tokens."""
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def inputs(self, examples: Sequence[Example], room: int | None) -> tuple[list[list[int]], int]:
        """Return the input ids of examples, special tokens included, and how many inputs were cut.

        An input that is too long loses its beginning: the end of the template asks the question.
        """
        self.tokenise(examples)
        cut = 0
        rows = []
        for example in examples:
            ids = self._cache[example.id]
            if room is not None and len(ids) > room:
                cut += 1
                ids = ids[-room:]
            rows.append([*self.specials.before, *ids, *self.answers.after])
        return rows, cut

    def batch(self, pairs: Sequence[Pair]) -> Batch:
        """Make a batch that asks for the second part of each pair, on the model's device."""
        beat()
        made = self.answers.batch(pairs, self._pad)
        decoder = made.decoder_input_ids
        return replace(
            made,
            input_ids=made.input_ids.to(self.device),
            attention_mask=made.attention_mask.to(self.device),
            positions=made.positions.to(self.device),
            targets=made.targets.to(self.device),
            decoder_input_ids=None if decoder is None else decoder.to(self.device),
        )

    def _pad(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.full((len(rows), max(map(len, rows))), self.pad_id)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        return ids, mask

    def _check_labels(self) -> None:
        for index, ids in enumerate(self.label_ids):
            if not ids:
                raise BadInput(f"label_words: {self.labels[index]!r} has no tokens in this model's vocabulary")
            if ids in self.label_ids[:index]:
                other = self.labels[self.label_ids.index(ids)]
                raise BadInput(
                    f"label_words: {self.labels[index]!r} and {other!r} are the same tokens for this model's tokenizer"
                )
