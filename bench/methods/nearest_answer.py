"""Nearest answer: that of the training input with most words in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.methods.base import ByGenerating, TunedModel
from bench.methods.baseline import Baseline, WithoutModel

if TYPE_CHECKING:
    from bench.datasets.answers import Answer
    from bench.datasets.examples import Example
    from bench.datasets.splits import Splits
    from bench.forward.generation import Generated
    from bench.models.language_model import LanguageModel


class NearestAnswer(WithoutModel):
    """The right answer of the training text that is nearest by TF-IDF, by scikit-learn; no language model."""

    title = "Nearest training answer"
    citation = "Pedregosa et al.: Scikit-learn. JMLR 12, 2011"
    when_to_use = "Beside every model that writes: it knows how answers look, and does not read the text."
    traps = (
        "Questions that are in train in other words are found: a high score of it says that splits leak.",
        "It reads the whole training split, however few examples a trained method is shown.",
    )

    def refuses(self, answer: Answer) -> str | None:
        """Refuse what is not answered in free text."""
        return None if answer.writes else f"nearest_answer writes free text, and the answers are {answer.title}"

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Read the train split."""
        return Nearest(dataset)


class Nearest(Baseline):
    """Answers with the answer of the nearest training text, of several as near the first."""

    def __init__(self, dataset: Splits) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        super().__init__()
        # Characters within words: languages without spaces have no words to count.
        self._vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
        self._known = self._vectors.fit_transform([example.text for example in dataset.train])
        self._answers = [dataset.right(example) for example in dataset.train]

    def write(self, examples: Sequence[Example], by_generating: ByGenerating) -> list[Generated]:
        """Return the answer of each example's nearest training text."""
        from bench.forward.generation import Generated

        # Rows have length 1, so that the product is the cosine.
        similar = self._vectors.transform([example.text for example in examples]) @ self._known.T
        return [Generated((), self._answers[int(row.toarray().argmax())], "end") for row in similar]
