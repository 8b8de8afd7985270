"""How generated answers end: by themselves, at the limit, empty, or going round in circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.metrics.text.words import words_and_signs

TIMES, SHORTEST = 3, 2


@dataclass(frozen=True, slots=True)
class Endings:
    """Shares of answers, each from 0 to 1; the first three add up to 1, the others are counted besides."""

    end: float
    """Ended by the model's end token."""
    stop: float
    """Ended at a stop text."""
    limit: float
    """Ran to the limit of tokens."""
    empty: float
    """Hold nothing but white space."""
    repeating: float
    """End in a repetition (see `repeats`)."""


def endings(texts: Sequence[str], ended: Sequence[Literal["end", "stop", "limit"]]) -> Endings:
    """Return what became of n generated answers.

    Args:
        texts: the answers.
        ended: what ended each of them.

    Raises:
        ValueError: no answers, or not as many of one as of the other.
    """
    if not texts or len(texts) != len(ended):
        raise ValueError(f"{len(texts)} texts and {len(ended)} endings: as many, not none")

    def share(number: int) -> float:
        return number / len(texts)

    return Endings(
        end=share(ended.count("end")),
        stop=share(ended.count("stop")),
        limit=share(ended.count("limit")),
        empty=share(sum(not text.strip() for text in texts)),
        repeating=share(sum(map(repeats, texts))),
    )


def repeats(text: str) -> bool:
    """Whether a text ends with a phrase of two words or more that stands there three times in a row.

    The definition is that of Holtzman et al. (The Curious Case of Neural Text Degeneration, ICLR 2020). A word is a
    run of letters and digits, a sign of punctuation, or a Chinese character or kana.
    """
    words = words_and_signs(text)
    for size in range(SHORTEST, len(words) // TIMES + 1):
        if words[-1] != words[-1 - size]:  # most sizes end here, before anything is copied
            continue
        phrase = words[-size:]
        if all(words[-size * time : -size * (time - 1)] == phrase for time in range(2, TIMES + 1)):
            return True
    return False
