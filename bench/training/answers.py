"""Where the answer to a text stands, by kind of network, and the batches that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from bench.core.errors import Infeasible
from bench.forward.batch import Batch
from bench.methods.tokens import Specials, label_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from bench.models.language_model import LanguageModel

Pair = tuple[list[int], list[int]]
"""Token ids of an input and of what is to follow it; of an encoder, the input and the index of its label."""
Pad = Callable[[Sequence[list[int]]], tuple[Tensor, Tensor]]
"""Pads rows of ids on the right; returns them and their mask, both [B, L]."""


class Continued:
    """A decoder continues the text with the answer."""

    shares_room: ClassVar[bool] = True
    """Whether the answer takes positions of the text's context."""

    def __init__(self, base: LanguageModel) -> None:
        self.tokenizer: PreTrainedTokenizerBase = base.tokenizer
        self.after = () if self.shares_room else Specials.of(base.tokenizer).after
        """Special tokens behind the text."""

    def label_ids(self, template: str, labels: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each label as the network is asked for them."""
        return [label_tokens(self.tokenizer, template, word) for word in labels]

    def ids(self, template: str, text: str, ends: bool) -> list[int]:
        """Return the tokens of an answer behind the template.

        Raises:
            Infeasible: it is to end, and the tokenizer has no token for that.
        """
        end = self.tokenizer.eos_token_id
        if ends and end is None:
            raise Infeasible("the tokenizer has no end token, so no model learns where a free text ends")
        return [*label_tokens(self.tokenizer, template, text), *([end] if ends else [])]

    def pair(self, ids: list[int], target: list[int], loss_on: Literal["answer", "all"]) -> Pair:
        """Return what is read and what is trained on: the answer, or all tokens but the first."""
        return (ids, target) if loss_on == "answer" else (ids[:1], [*ids[1:], *target])

    def beside(self, label_ids: Sequence[list[int]]) -> int:
        """Return how many positions behind the text special tokens or the longest answer take."""
        return max(map(len, label_ids), default=0) if self.shares_room else len(self.after)

    def batch(self, pairs: Sequence[Pair], pad: Pad) -> Batch:
        """Make a batch that asks for the tokens of each pair's second part.

        The last token asked for is not among the inputs: nothing is predicted from it.
        """
        input_ids, mask = pad([[*ids, *target[:-1]] for ids, target in pairs])
        positions = torch.zeros_like(mask, dtype=torch.bool)
        for row, (ids, target) in enumerate(pairs):
            positions[row, len(ids) - 1 : len(ids) - 1 + len(target)] = True
        return Batch(input_ids, mask, positions, _flat(pairs))


class Decoded(Continued):
    """An encoder-decoder reads the text in the encoder and answers in the decoder."""

    shares_room: ClassVar[bool] = False

    def __init__(self, base: LanguageModel) -> None:
        super().__init__(base)
        self.start_id: int = base.network.config.decoder_start_token_id

    def label_ids(self, template: str, labels: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each label with the special tokens around them."""
        return [list(self.tokenizer(word)["input_ids"]) for word in labels]

    def ids(self, template: str, text: str, ends: bool) -> list[int]:
        """Return the tokens of an answer, the tokenizer's end token among them."""
        return list(self.tokenizer(text)["input_ids"])

    def pair(self, ids: list[int], target: list[int], loss_on: Literal["answer", "all"]) -> Pair:
        """Return what the encoder reads and what the decoder is trained on."""
        if loss_on != "answer":
            raise Infeasible("loss_on: all is for decoders; the decoder of this model does not read the text")
        return ids, target

    def batch(self, pairs: Sequence[Pair], pad: Pad) -> Batch:
        """Make a batch whose decoder is asked for the tokens of each pair's second part."""
        input_ids, mask = pad([ids for ids, _ in pairs])
        decoder_ids, asked = pad([[self.start_id, *target[:-1]] for _, target in pairs])
        return Batch(input_ids, mask, asked.bool(), _flat(pairs), decoder_ids)


class Classified(Continued):
    """An encoder's head has a logit for each label: its vocabulary are the labels."""

    shares_room: ClassVar[bool] = False

    def label_ids(self, template: str, labels: Sequence[str]) -> list[list[int]]:
        """Return the index of each label."""
        return [[index] for index in range(len(labels))]

    def ids(self, template: str, text: str, ends: bool) -> list[int]:
        """Refuse: a head knows the labels it was made for."""
        raise Infeasible("an encoder answers by a head over label words; options of a row and free text need a decoder")

    def batch(self, pairs: Sequence[Pair], pad: Pad) -> Batch:
        """Make a batch that asks for each pair's label."""
        input_ids, mask = pad([ids for ids, _ in pairs])
        positions = torch.zeros_like(mask, dtype=torch.bool)
        positions[:, 0] = True
        return Batch(input_ids, mask, positions, _flat(pairs))


ANSWERS = {"causal": Continued, "seq2seq": Decoded, "encoder": Classified}
"""By `bench.models.kinds.Kind`."""


def _flat(pairs: Sequence[Pair]) -> Tensor:
    return torch.tensor([token for _, target in pairs for token in target])
