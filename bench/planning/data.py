"""The data of a plan: a cell's own where data and tokenizer are on this machine, else texts of an assumed length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any
from zlib import crc32

from bench.datasets.examples import Example
from bench.datasets.splits import Splits
from bench.planning.configurations import vocabulary

TOKENS = 64
"""Tokens of every input where nothing is known of them."""
EXAMPLES = 512
"""Examples of a split where nothing is known of it."""
LABELS = ("no", "yes")


class HashedWords:
    """Stands in for a tokenizer: a token a word, different words different ids as far as there are."""

    all_special_ids: Sequence[int] = ()
    all_special_tokens: Sequence[str] = ()
    pad_token_id = eos_token_id = bos_token_id = unk_token_id = 0
    padding_side = "right"

    def __init__(self, size: int) -> None:
        self.vocab_size = size

    def __len__(self) -> int:
        return self.vocab_size

    def __call__(self, text: str | Sequence[str], **_: Any) -> dict[str, Any]:
        """Return the ids of a text or of several."""
        texts = [text] if isinstance(text, str) else text
        ids = [[3 + crc32(word.encode()) % (self.vocab_size - 3) for word in one.split()] for one in texts]
        return {"input_ids": ids[0] if isinstance(text, str) else ids}

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        """Return a text of so many words."""
        return " ".join(["word"] * len(ids))


def assumed(
    fields: Mapping[str, Any], tokens: int = TOKENS, sizes: Sequence[int] = (EXAMPLES, EXAMPLES, EXAMPLES)
) -> tuple[Splits, HashedWords]:
    """Return data whose every input has so many tokens and shares none with another, and their tokenizer.

    The vocabulary is that of the model's configuration; sizes are those of train, validation and test.
    """
    draw = Random(0)
    parts = []
    for number, size in enumerate(sizes):
        rows = [" ".join(f"{draw.getrandbits(40):x}" for _ in range(tokens)) for _ in range(size)]
        parts.append(tuple(Example(f"{number}-{n}", text, n % len(LABELS)) for n, text in enumerate(rows)))
    train, validation, test = parts
    splits = Splits(train, validation, test, labels=LABELS, revision="assumed", duplicates=0)
    return splits, HashedWords(vocabulary(fields))
