"""What a tokenizer puts around a text, and what it makes of a label word behind one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Specials:
    """The special tokens that a tokenizer puts around an input."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Specials:
        """Find them out by encoding a letter with and without."""
        bare = tokenizer("a", add_special_tokens=False)["input_ids"]
        full = tokenizer("a")["input_ids"]
        for start in range(len(full) - len(bare) + 1):
            if full[start : start + len(bare)] == bare:
                return cls(tuple(full[:start]), tuple(full[start + len(bare) :]))
        return cls((), ())


def after_template(template: str, word: str) -> str:
    """Return a label word as it is written behind the template: after a space, unless the template ends in one."""
    tail = template.rpartition("}")[2] or "x"
    return word if tail[-1].isspace() else f" {word}"


def label_tokens(tokenizer: PreTrainedTokenizerBase, template: str, word: str) -> list[int]:
    """Return the tokens of a label word as they stand behind the template, without special tokens.

    The word is encoded together with the template's end, because tokenizers treat the beginning of a
    text differently from its middle.
    """
    tail = template.rpartition("}")[2] or "x"
    text = after_template(template, word)
    alone = tokenizer(tail, add_special_tokens=False)["input_ids"]
    both = tokenizer(tail + text, add_special_tokens=False)["input_ids"]
    if both[: len(alone)] == alone and len(both) > len(alone):
        return list(both[len(alone) :])
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
