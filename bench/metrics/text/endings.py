"""How generated answers end: by themselves, at the limit, empty, or going round in circles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bench.metrics.text.words import words_and_signs

TIMES, SHORTEST = 3, 2


def endings(texts: Sequence[str], ended: Sequence[Literal["end", "stop", "limit"]]) -> dict[str, float]:
    """Return what became of n generated answers: shares of them, each from 0 to 1.

    ``end``, ``stop`` and ``limit`` say what ended them, and add up to 1; besides them are counted the ``empty``, which
    hold nothing but white space, and the ``repeating`` (see `repeats`).

    Raises:
        ValueError: no answers, or not as many of one as of the other.
    """
    if not texts or len(texts) != len(ended):
        raise ValueError(f"{len(texts)} texts and {len(ended)} endings: as many, not none")
    counts = {
        "end": ended.count("end"),
        "stop": ended.count("stop"),
        "limit": ended.count("limit"),
        "empty": sum(not text.strip() for text in texts),
        "repeating": sum(map(repeats, texts)),
    }
    return {what: count / len(texts) for what, count in counts.items()}


def repeats(text: str) -> bool:
    """Whether a text ends with a phrase of two words or more that stands there three times in a row.

    The definition is that of Holtzman et al. (The Curious Case of Neural Text Degeneration, ICLR 2020). A word is a
    run of letters and digits, a sign of punctuation, or a Chinese character or kana.
    """
    words = words_and_signs(text)
    sizes = range(SHORTEST, len(words) // TIMES + 1)
    return any(words[-TIMES * size :] == TIMES * words[-size:] for size in sizes)
