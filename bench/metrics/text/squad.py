"""Exact match and F1 as SQuAD defines them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from bench.metrics.text.base import TextMetric
from bench.metrics.text.words import apart

_CITATION = "Rajpurkar et al., SQuAD: 100,000+ Questions for Machine Comprehension of Text, EMNLP 2016"
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalised(text: str) -> str:
    """Return a text in lower case, without ASCII punctuation and English articles, with single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


class ExactMatch(TextMetric):
    """Share of the answers that are one of their references, from 0 to 1, after SQuAD's normalisation.

    That leaves out case, ASCII punctuation, the articles a, an, the, and more than single spaces. SQuAD's own program
    prints the share in a hundred.
    """

    title: ClassVar[str] = "Exact match"
    citation: ClassVar[str] = _CITATION
    key: ClassVar[str] = "exact_match"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    share_of_right: ClassVar[bool] = True

    normalise: bool = True
    """Whether both are normalised first; if not, spaces at the ends alone are left out."""

    def scores(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """Return 1 for an answer that is one of its references."""
        form = normalised if self.normalise else str.strip
        return [
            float(form(answer) in {form(reference) for reference in given})
            for answer, given in zip(answers, references, strict=True)
        ]


class F1Squad(TextMetric):
    """Words that an answer shares with a reference, as F1 from 0 to 1, after SQuAD's normalisation; the best reference.

    Where both are empty once they are normalised, it is 1, as in the program of SQuAD 2.0 (0 in that of 1.1).
    """

    title: ClassVar[str] = "F1 of words (SQuAD)"
    citation: ClassVar[str] = _CITATION
    key: ClassVar[str] = "f1"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    split_cjk: bool = False
    """Whether every Chinese character and kana is a word of its own; by SQuAD's definition words stand between
    spaces, and a Chinese sentence is one."""

    def scores(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """Return the best F1 of each answer over its references."""
        return [
            max(_f1(self._words(answer), self._words(reference)) for reference in given)
            for answer, given in zip(answers, references, strict=True)
        ]

    def _words(self, text: str) -> list[str]:
        text = normalised(text)
        return (apart(text) if self.split_cjk else text).split()


def _f1(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    return 2 * (Counter(answer) & Counter(reference)).total() / (len(answer) + len(reference))
