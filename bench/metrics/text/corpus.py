"""BLEU and chrF, by `sacrebleu`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bench.metrics.text.base import TextMetric

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as SacreMetric


class SacreBleu(TextMetric):
    """A metric of `sacrebleu`, from 0 to 100, whose score of all answers is no mean of the answers' scores."""

    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    library: ClassVar[str] = "sacrebleu"

    @abstractmethod
    def scorer(self, references: Sequence[Sequence[str]]) -> SacreMetric:
        """Return the library's metric."""
        raise NotImplementedError

    def corpus(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """Score all answers by their summed counts."""
        found: float = self.scorer(references).corpus_score(list(answers), _streams(references)).score
        return min(found, self.bounds[1])  # rounding adds to it: identical texts score 100.00000000000004

    def signature(self, references: Sequence[Sequence[str]]) -> str:
        """Return the library's signature, such as ``nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0``."""
        self.prepare()
        scorer = self.scorer(references)
        # The count of references, which is part of it, is taken when a corpus is scored.
        scorer.corpus_score([""] * len(references), _streams([[""] * len(given) for given in references]))
        return str(scorer.get_signature())


class Bleu(SacreBleu):
    """BLEU, from 0 to 100: sequences of 1 to 4 words in common, over all answers; 0 where none has four words."""

    title: ClassVar[str] = "BLEU"
    citation: ClassVar[str] = (
        "Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, ACL 2002; "
        "Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018"
    )
    key: ClassVar[str] = "bleu"

    tokenize: Literal["auto", "13a", "zh", "intl", "char", "none"] = "auto"
    """What splits texts into words: a tokenizer of sacrebleu, or ``auto``: ``zh`` where most letters of the references
    are Chinese characters and none is kana, else ``13a``. For Japanese, ``char``."""
    lowercase: bool = False
    """Whether case is left out of account."""

    def scorer(self, references: Sequence[Sequence[str]]) -> SacreMetric:
        """Return the library's BLEU with its own defaults."""
        from sacrebleu.metrics.bleu import BLEU

        tokenize = self.tokenize if self.tokenize != "auto" else "zh" if _chinese(references) else "13a"
        return BLEU(lowercase=self.lowercase, tokenize=tokenize, force=True)


class Chrf(SacreBleu):
    """chrF, from 0 to 100: sequences of 1 to 6 characters in common, spaces left out; needs no words, so fits Chinese.

    The F-measure counts recall twice as much as precision.
    """

    title: ClassVar[str] = "chrF"
    citation: ClassVar[str] = "Popović, chrF: character n-gram F-score for automatic MT evaluation, WMT 2015"
    key: ClassVar[str] = "chrf"

    word_order: int = Field(0, ge=0)
    """Longest sequence of words that counts as well; 2 is chrF++."""
    lowercase: bool = False
    """Whether case is left out of account."""

    def scorer(self, references: Sequence[Sequence[str]]) -> SacreMetric:
        """Return the library's chrF."""
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(word_order=self.word_order, lowercase=self.lowercase)


def _streams(references: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the first reference of each answer, the second of each, and so on; None where there is none."""
    return [list(stream) for stream in zip_longest(*references)]  # None is what the library takes for no reference


def _chinese(references: Sequence[Sequence[str]]) -> bool:
    letters = [char for given in references for text in given for char in text if char.isalpha()]
    if any("\u3041" <= char <= "\u30fa" for char in letters):
        return False
    return sum("\u3400" <= char <= "\u9fff" or char >= "\U00020000" for char in letters) * 2 > len(letters)
