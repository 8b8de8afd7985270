"""From text to token ids: the input, the label words, and what is cut when the context is too short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from bench.errors import BadInput, Infeasible
from bench.forward.batch import Batch
from bench.methods.tokens import Specials, label_tokens

if TYPE_CHECKING:
    from bench.datasets.base import Example
    from bench.models.base import LanguageModel

Pair = tuple[list[int], list[int]]
"""Token ids of an input and of what is to follow it."""


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
        self.seq2seq = base.kind == "seq2seq"
        self.context_length = base.context_length
        self.device = base.device
        self.pad_id: int = base.tokenizer.pad_token_id
        self.start_id: int | None = base.network.config.decoder_start_token_id if self.seq2seq else None
        self.specials = Specials.of(base.tokenizer)
        self.labels = tuple(labels)
        self.label_ids = [self._label(template, word) for word in labels]
        self._check_labels()
        self._cache: dict[str, list[int]] = {}

    @property
    def single_token_labels(self) -> bool:
        """Whether every label word is one token, so that one row of logits scores them all."""
        return all(len(ids) == 1 for ids in self.label_ids)

    def room(self, virtual_tokens: int, max_length: int | None) -> int | None:
        """Return how many tokens of text fit, or None for any number.

        Raises:
            Infeasible: nothing of the text would be left.
        """
        label = max(map(len, self.label_ids))
        limits = []
        if self.context_length is not None:
            limits.append(self.context_length - virtual_tokens)
        if max_length is not None:
            limits.append(max_length)
        if not limits:
            return None
        around = len(self.specials.before) + (len(self.specials.after) if self.seq2seq else label)
        room = min(limits) - around
        if room < 1:
            raise Infeasible(
                f"{virtual_tokens} virtual tokens and a label of {label} tokens leave no room for text "
                f"in {min(limits) + (virtual_tokens if max_length is None else 0)} positions"
            )
        return room

    def inputs(self, examples: Sequence[Example], room: int | None) -> tuple[list[list[int]], int]:
        """Return the input ids of examples, special tokens included, and how many inputs were cut.

        An input that is too long loses its beginning: the end of the template asks the question.
        """
        missing = [e for e in examples if e.id not in self._cache]
        if missing:
            texts = [e.text for e in missing]
            encoded = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
            self._cache.update(zip((e.id for e in missing), encoded, strict=True))
        cut = 0
        rows = []
        for example in examples:
            ids = self._cache[example.id]
            if room is not None and len(ids) > room:
                cut += 1
                ids = ids[-room:]
            after = self.specials.after if self.seq2seq else ()
            rows.append([*self.specials.before, *ids, *after])
        return rows, cut

    def batch(self, pairs: Sequence[Pair]) -> Batch:
        """Make a batch that asks for the tokens of each pair's second part.

        The last token asked for is not among the inputs: nothing is predicted from it.
        """
        if self.seq2seq:
            assert self.start_id is not None
            decoder = [[self.start_id, *target[:-1]] for _, target in pairs]
            input_ids, mask = self._pad([ids for ids, _ in pairs])
            decoder_ids, asked = self._pad(decoder)
            positions = asked.bool()
        else:
            rows = [[*ids, *target[:-1]] for ids, target in pairs]
            input_ids, mask = self._pad(rows)
            decoder_ids = None
            positions = torch.zeros_like(mask, dtype=torch.bool)
            for row, (ids, target) in enumerate(pairs):
                positions[row, len(ids) - 1 : len(ids) - 1 + len(target)] = True
        targets = torch.tensor([token for _, target in pairs for token in target])
        return Batch(
            input_ids=input_ids.to(self.device),
            attention_mask=mask.to(self.device),
            positions=positions.to(self.device),
            targets=targets.to(self.device),
            decoder_input_ids=None if decoder_ids is None else decoder_ids.to(self.device),
        )

    def _pad(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.full((len(rows), max(map(len, rows))), self.pad_id)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        return ids, mask

    def _label(self, template: str, word: str) -> list[int]:
        """Return the tokens of a label word: behind the template, or alone in a decoder of its own."""
        return list(self.tokenizer(word)["input_ids"]) if self.seq2seq else label_tokens(self.tokenizer, template, word)

    def _check_labels(self) -> None:
        for index, ids in enumerate(self.label_ids):
            if not ids:
                raise BadInput(f"label_words: {self.labels[index]!r} has no tokens in this model's vocabulary")
            if ids in self.label_ids[:index]:
                other = self.labels[self.label_ids.index(ids)]
                raise BadInput(
                    f"label_words: {self.labels[index]!r} and {other!r} are the same tokens for this model's tokenizer"
                )
