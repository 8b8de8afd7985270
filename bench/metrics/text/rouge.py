"""ROUGE-1, ROUGE-2 and ROUGE-L, by `rouge-score`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from bench.metrics.text.base import TextMetric
from bench.metrics.text.words import rouge_words

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer


class Rouge(TextMetric):
    """F-measure of what an answer and a reference share, from 0 to 1; of several references, the best.

    The score is that of Google's `rouge-score`, without bootstrap: the mean over the answers. Texts in other scripts
    than Latin, which its own tokenizer drops, are split into words too: Chinese and kana by character.
    """

    citation: ClassVar[str] = "Lin, ROUGE: A Package for Automatic Evaluation of Summaries, ACL Workshop, 2004"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    library: ClassVar[str] = "rouge_score"

    use_stemmer: bool = False
    """Whether English words of more than three letters are cut to their stem (Porter), as many papers do."""

    def scores(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """Return the best F-measure of each answer over its references."""
        scorer = _scorer(self.key, self.use_stemmer)
        return [
            float(scorer.score_multi(given, answer)[self.key].fmeasure)
            for answer, given in zip(answers, references, strict=True)
        ]


class Rouge1(Rouge):
    """ROUGE-1: words in common."""

    title: ClassVar[str] = "ROUGE-1"
    key: ClassVar[str] = "rouge1"


class Rouge2(Rouge):
    """ROUGE-2: pairs of neighbouring words in common; 0 for answers of one word, right ones too."""

    title: ClassVar[str] = "ROUGE-2"
    key: ClassVar[str] = "rouge2"


class RougeL(Rouge):
    """ROUGE-L: the longest sequence of words that both have in this order, with gaps."""

    title: ClassVar[str] = "ROUGE-L"
    key: ClassVar[str] = "rougeL"


@cache
def _scorer(kind: str, use_stemmer: bool) -> RougeScorer:
    from nltk.stem.porter import PorterStemmer
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import Tokenizer

    stemmer = PorterStemmer() if use_stemmer else None

    class Words(Tokenizer):  # type: ignore[misc]  # rouge-score has no types
        def tokenize(self, text: str) -> list[str]:
            words = rouge_words(text)
            return [stemmer.stem(word) if len(word) > 3 else word for word in words] if stemmer else words

    return RougeScorer([kind], tokenizer=Words())
