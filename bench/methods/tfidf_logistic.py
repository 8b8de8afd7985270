"""TF-IDF with logistic regression: words alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from bench.core.distributions import Choice, Float, Int, SearchSpace
from bench.core.errors import Infeasible, one_line
from bench.methods.base import ByLogits, TunedModel
from bench.methods.baseline import Baseline, WithoutModel

if TYPE_CHECKING:
    from bench.datasets.answers import Answer
    from bench.datasets.examples import Example
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


class TfidfLogistic(WithoutModel):
    """Logistic regression on TF-IDF features of the rendered texts, by scikit-learn; no language model."""

    title = "TF-IDF and logistic regression"
    citation = "Pedregosa et al.: Scikit-learn. JMLR 12, 2011"
    when_to_use = "In every comparison on texts: it says whether a language model was needed."
    traps = (
        "It reads the whole training split, and often beats small models. A method below it has not shown that "
        "its model understands anything.",
        "It sees the rendered text: words of the template are in every input and do nothing.",
    )

    analyzer: Literal["word", "char_wb"] = "word"
    """Features are words, or characters within words."""
    ngram_max: int = Field(2, gt=0)
    """Features are sequences of 1 to so many words or characters."""
    min_df: int = Field(1, gt=0)
    """Leave out features that fewer training texts have."""
    C: float = Field(1.0, gt=0)
    """Inverse strength of the L2 regularisation."""
    balanced: bool = False
    """Weigh every label alike, however rare."""

    def search_space(self) -> SearchSpace:
        """Regularisation, and what a feature is."""
        return {
            "C": Float(low=1e-2, high=1e3, log=True),
            "ngram_max": Int(low=1, high=5),
            "analyzer": Choice(choices=("word", "char_wb")),
        }

    def refuses(self, answer: Answer) -> str | None:
        """Refuse what has no classes."""
        return None if answer.same_for_all else f"tfidf_logistic learns label words, and the answers are {answer.title}"

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Fit the train split."""
        return FittedTexts(self, dataset)


class FittedTexts(Baseline):
    """Scores labels by the log of the fitted probabilities.

    Raises:
        Infeasible: train has one label only, or no words.
    """

    def __init__(self, method: TfidfLogistic, dataset: Splits) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        super().__init__()
        self._labels = len(dataset.labels)
        self._model = make_pipeline(
            TfidfVectorizer(
                analyzer=method.analyzer,
                ngram_range=(1, method.ngram_max),
                min_df=method.min_df,
                sublinear_tf=True,
                # Words of one letter count too: labels may hang on "I" or "a".
                token_pattern=r"(?u)\b\w+\b" if method.analyzer == "word" else None,
            ),
            LogisticRegression(C=method.C, max_iter=2000, class_weight="balanced" if method.balanced else None),
        )
        try:
            self._model.fit([e.text for e in dataset.train], [e.label for e in dataset.train])
        except ValueError as error:
            raise Infeasible(f"tfidf_logistic: {one_line(error)}") from error

    def score_labels(self, examples: Sequence[Example], by_logits: ByLogits) -> np.ndarray:
        """Return the log probabilities [n, C]; a label that train does not have gets a very low one."""
        scores = np.full((len(examples), self._labels), np.log(1e-12))
        if examples:
            found = self._model.predict_proba([e.text for e in examples])
            scores[:, self._model.classes_] = np.log(found + 1e-12)
        return scores

    def measurements(self) -> dict[str, float]:
        """Return how many weights were fitted."""
        return {"fitted_weights": float(self._model[-1].coef_.size + self._model[-1].intercept_.size)}
