"""Majority: the most frequent label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.methods.base import ByLogits, TunedModel
from bench.methods.baseline import Baseline, WithoutModel

if TYPE_CHECKING:
    from bench.datasets.answers import Answer
    from bench.datasets.examples import Example
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


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
