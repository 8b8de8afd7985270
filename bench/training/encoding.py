"""From text to token ids: the input, the answers to it, and what is cut when the context is too short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence

from bench.core.errors import BadInput, Infeasible
from bench.core.heartbeat import beat
from bench.datasets.answers import Answer, LabelWord
from bench.forward.batch import Batch
from bench.methods.tokens import Specials
from bench.training.answers import ANSWERS, Pair

if TYPE_CHECKING:
    from bench.datasets.examples import Example
    from bench.models.language_model import LanguageModel


class Encoder:
    """Encodes the examples of a data set for one base model.

    Texts are tokenised once; `fit` then cuts them to what a trial's method leaves of the context.

    Args:
        template: the data set's template; its end decides how a label word is attached.
        labels: the label words; none where answers are of another kind.

    Raises:
        BadInput: two label words are the same tokens.
        Infeasible: this model cannot give such answers.
    """

    def __init__(self, base: LanguageModel, template: str, labels: Sequence[str], answer: Answer | None = None) -> None:
        self.tokenizer = base.tokenizer
        self.answers = ANSWERS[base.kind](base)
        self.generates = base.kind.generates
        self.context_length = base.context_length
        self.device = base.device
        self.pad_id: int = base.tokenizer.pad_token_id
        self.specials = Specials.of(base.tokenizer)
        self.answer = answer or LabelWord()
        if self.answer.chat:
            if not base.tokenizer.chat_template:
                raise Infeasible("format: chat: this model's tokenizer has no chat template; take format: instruction")
            # The chat template writes its own special tokens, and what opens the answer.
            self.specials, template = Specials((), ()), "{text}\n"
        self.template = template
        self.labels = tuple(labels)
        self.label_ids = self.answers.label_ids(template, self.labels)
        self._check_labels()
        if not self.labels:
            self.answers.ids(template, "a", self.answer.writes)  # refuses what this network cannot answer
        self._cache: dict[str, list[int]] = {}
        self._answer_ids: dict[str, list[int]] = {}

    @property
    def single_token_labels(self) -> bool:
        """Whether every label is one token, or one class of a head, so that one row of logits scores them all."""
        return bool(self.label_ids) and all(len(ids) == 1 for ids in self.label_ids)

    def room(self, virtual_tokens: int, max_length: int | None) -> int | None:
        """Return how many tokens of text fit, or None for any number; answers of a row of its own share them.

        Raises:
            Infeasible: nothing of the text would be left.
        """
        context = None if self.context_length is None else self.context_length - virtual_tokens
        limit = min((one for one in (context, max_length) if one is not None), default=None)
        if limit is None:
            return None
        room = limit - len(self.specials.before) - self.answers.beside(self.label_ids)
        if room < 1:
            longest = max(map(len, self.label_ids), default=0)
            raise Infeasible(
                f"{virtual_tokens} virtual tokens and a label of {longest} tokens leave no room "
                f"for text in {limit + (virtual_tokens if max_length is None else 0)} positions"
            )
        return room

    def tokenise(self, examples: Sequence[Example]) -> None:
        """Tokenise what has not been tokenised yet."""
        missing = [e for e in examples if e.id not in self._cache]
        if missing:
            encoded = self.ids_of([self._shown(e.text) for e in missing])
            self._cache.update(zip((e.id for e in missing), encoded, strict=True))

    def ids_of(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of texts, without special tokens."""
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def candidates(self, example: Example, room: int | None) -> Sequence[list[int]]:
        """Return the tokens of each answer whose likelihood is asked for; the right one is at ``example.label``.

        An answer of its own row that does not fit loses its end.
        """
        if not example.answers:
            return self.label_ids
        most = self._longest_answer(room)
        return [self._tokens(text)[:most] for text in self.answer.candidates(example, self.labels)]

    def cut_answers(self, examples: Sequence[Example], room: int | None) -> int:
        """Return how many examples have an answer that loses its end."""
        most = self._longest_answer(room)
        return sum(
            any(len(self._tokens(text)) > (most or math.inf) for text in self.answer.candidates(example, self.labels))
            for example in examples
            if example.answers
        )

    def answer_bytes(self, examples: Sequence[Example], room: int | None) -> int:
        """Return the bytes of the right answers in UTF-8, of one that loses its end those that are left."""
        total = 0
        for example in examples:
            text, ids = self.answer.candidates(example, self.labels)[example.label], self.candidates(example, room)
            kept = ids[example.label]
            whole = not example.answers or len(kept) == len(self._tokens(text))
            total += len((text if whole else str(self.tokenizer.decode(kept))).encode())
        return total

    def inputs(self, examples: Sequence[Example], room: int | None) -> tuple[list[list[int]], int]:
        """Return the input ids of examples, special tokens included, and how many inputs were cut.

        An input that is too long loses its beginning: the end of the template asks the question.
        """
        common = self.answers.beside(self.label_ids)
        return self._fitted(
            examples, room, [self.answers.beside(self.candidates(one, room)) - common for one in examples]
        )

    def inputs_to_write(self, examples: Sequence[Example], room: int | None) -> tuple[list[list[int]], int]:
        """Return the input ids of examples that are going to be answered in free text, and how many were cut.

        Raises:
            Infeasible: the longest answer that may be written leaves no room for text.
        """
        most = self.answer.generate.max_new_tokens
        taken = most if self.answers.shares_room else 0
        if room is not None and taken >= room:
            raise Infeasible(
                f"generate.max_new_tokens: an answer of {most} tokens leaves no room for text in {room} positions"
            )
        return self._fitted(examples, room, [taken] * len(examples))

    def pairs(self, examples: Sequence[Example], room: int | None) -> tuple[list[Pair], int]:
        """Return what is read and what is trained on, of each example, and how many inputs were cut."""
        inputs, cut = self.inputs(examples, room)
        right = [self.candidates(one, room)[one.label] for one in examples]
        return [
            self.answers.pair(ids, target, self.answer.loss_on) for ids, target in zip(inputs, right, strict=True)
        ], cut

    def _fitted(
        self, examples: Sequence[Example], room: int | None, taken: Sequence[int]
    ) -> tuple[list[list[int]], int]:
        """Return inputs that leave ``taken`` positions of the room."""
        self.tokenise(examples)
        cut = 0
        rows = []
        for example, beside in zip(examples, taken, strict=True):
            ids = self._cache[example.id]
            if room is not None and len(ids) > room - beside:
                cut += 1
                ids = ids[beside - room :]
            rows.append([*self.specials.before, *ids, *self.answers.after])
        return rows, cut

    def _longest_answer(self, room: int | None) -> int | None:
        """Return how many tokens an answer of its own row may have: one is left for the text."""
        left = max(1, room - 1) if room is not None and self.answers.shares_room else None
        return min((limit for limit in (self.answer.max_tokens, left) if limit is not None), default=None)

    def _tokens(self, text: str) -> list[int]:
        if text not in self._answer_ids:
            self._answer_ids[text] = self.answers.ids(self.template, text, self.answer.writes)
        return self._answer_ids[text]

    def _shown(self, text: str) -> str:
        if not self.answer.chat:
            return text
        turn = [{"role": "user", "content": text}]
        return str(self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))

    def batch(self, pairs: Sequence[Pair]) -> Batch:
        """Make a batch that asks for the second part of each pair, on the model's device."""
        beat()
        made = self.answers.batch(pairs, self._pad)
        moved: dict[str, Any] = {name: t if t is None else t.to(self.device) for name, t in vars(made).items()}
        return Batch(**moved)

    def _pad(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = [torch.tensor(row, dtype=torch.long) for row in rows]
        padded = pad_sequence(ids, batch_first=True, padding_value=self.pad_id)
        return padded, pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)

    def _check_labels(self) -> None:
        for index, ids in enumerate(self.label_ids):
            if not ids:
                raise BadInput(f"label_words: {self.labels[index]!r} has no tokens in this model's vocabulary")
            if ids in self.label_ids[:index]:
                other = self.labels[self.label_ids.index(ids)]
                raise BadInput(
                    f"label_words: {self.labels[index]!r} and {other!r} are the same tokens for this model's tokenizer"
                )
