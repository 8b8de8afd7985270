"""Baselines without a language model: what a method must beat to have learned, or needed, anything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from bench.core.distributions import Choice, Float, Int, SearchSpace
from bench.core.errors import Infeasible, one_line
from bench.methods.base import ByGenerating, ByLogits, Method, TunedModel

if TYPE_CHECKING:
    from torch.nn import Parameter

    from bench.datasets.answers import Answer
    from bench.datasets.examples import Example
    from bench.datasets.splits import Splits
    from bench.forward.generation import Generated
    from bench.models.language_model import LanguageModel


class Baseline(TunedModel):
    """A method without a base model: there is nothing to train, to switch or to put back."""

    def __init__(self) -> None:
        """Take no base model."""

    def trainable(self) -> dict[str, Parameter]:
        """Return nothing to train."""
        return {}

    def train(self, mode: bool) -> None:
        """Do nothing: there is no dropout."""

    def detach(self) -> None:
        """Do nothing: there is no base model."""

    def score_labels(self, examples: Sequence[Example], by_logits: ByLogits) -> np.ndarray:
        """Return no preference, [n, 1]: overridden by what chooses between labels."""
        return np.zeros((len(examples), 1))

    def notes(self) -> dict[str, str]:
        """Return nothing: there is no forward pass."""
        return {}


class WithoutModel(Method):
    """A method that looks at texts and answers alone."""

    uses_model = False
    trains = False
    stochastic = False


class Majority(WithoutModel):
    """Always the most frequent label of the training split; no language model."""

    title = "Majority class"
    when_to_use = "In every comparison: a score is worth what it is above this one."
    traps = ("Its accuracy is high where one label is frequent. Macro F1 shows what that is worth.",)

    def refuses(self, answer: Answer) -> str | None:
        """Refuse what has no labels to count."""
        return None if answer.same_for_all else f"majority counts label words, and the answers are {answer.title}"

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Count the labels of train."""
        return LabelFrequencies(dataset)


class LabelFrequencies(Baseline):
    """Scores every label by its frequency in train."""

    def __init__(self, dataset: Splits) -> None:
        super().__init__()
        counts = Counter(example.label for example in dataset.train)
        self.scores = np.log([counts[label] + 1e-9 for label in range(len(dataset.labels))])

    def score_labels(self, examples: Sequence[Example], by_logits: ByLogits) -> np.ndarray:
        """Return the log frequencies, the same for every example: [n, C]."""
        return np.tile(self.scores, (len(examples), 1))


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


_SENTENCE = re.compile(r"\s*(.+?(?:[.!?](?=\s|$)|[。！？]|(?=\n)|$))", re.DOTALL)  # noqa: RUF001


class FirstSentence(WithoutModel):
    """Always the first sentence of what the template is filled with; no language model.

    A sentence ends at a full stop, a question or an exclamation mark (those of Chinese too), or at the end of a line.
    """

    title = "First sentence"
    citation = "the lead baseline of summarisation: Nenkova, Automatic Text Summarization of Newswire, AAAI 2005"
    when_to_use = "Beside every summary of a text: newspapers say the most important thing first."
    traps = (
        "It knows nothing of how answers look: on anything but summaries it is easy to beat.",
        "A full stop behind an abbreviation ends its sentence.",
    )

    def refuses(self, answer: Answer) -> str | None:
        """Refuse what is not answered in free text."""
        return None if answer.writes else f"first_sentence writes free text, and the answers are {answer.title}"

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Learn nothing but the template."""
        return Leading(dataset.template)


class Leading(Baseline):
    """Answers with the first sentence of an input."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self._before, self._behind = template.partition("{")[0], template.rpartition("}")[2]

    def write(self, examples: Sequence[Example], by_generating: ByGenerating) -> list[Generated]:
        """Return the first sentence of each input, without the template around it."""
        from bench.forward.generation import Generated

        inner = [one.text.removeprefix(self._before).removesuffix(self._behind) for one in examples]
        found = [_SENTENCE.match(text) for text in inner]
        return [Generated((), one.group(1) if one else "", "end") for one in found]


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
