"""A trial's parts, ready to be trained and tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from bench.core.entries import Entry
from bench.datasets import datasets
from bench.datasets.splits import Splits
from bench.methods.base import TunedModel
from bench.metrics import metrics
from bench.metrics.base import Answered, BaseMetric, Score
from bench.models.language_model import LanguageModel
from bench.training.encoding import Encoder
from bench.training.evaluation import Scorer


@dataclass(frozen=True)
class Prepared:
    """A method on its model, and the data that it is trained and tested on."""

    tuned: TunedModel
    base: LanguageModel | None
    """None for a method without a language model."""
    splits: Splits
    encoder: Encoder | None
    """Encodes the data set for the base model."""
    room: int | None
    """Tokens of text that fit (see `Encoder.room`)."""
    dtype: torch.dtype
    """Precision of its training and of all that is measured of it."""
    scorer: Scorer
    metrics: dict[str, BaseMetric]
    """Those of the data set, by label; the first is the main one."""

    @property
    def answers_with_words(self) -> bool:
        """Whether any label words can be scored, not just those that it was trained on."""
        return self.base is not None and self.base.kind.generates


def build_metrics(entry: Entry) -> dict[str, BaseMetric]:
    """Return a data set's metrics by label; the first is the main one."""
    dataset = datasets.build(entry.name, entry.options, f"data set {entry.label}")
    return {each.label: metrics.build(each.name, each.options, f"metric {each.label}") for each in dataset.metrics}


def writes(given: Mapping[str, BaseMetric]) -> bool:
    """Whether any of these metrics scores written text."""
    return any(metric.scored == "text" for metric in given.values())


def score(answered: Answered, given: Mapping[str, BaseMetric]) -> dict[str, Score]:
    """Return the scores of what was answered; a metric that finds nothing to score is left out."""
    found = {name: metric.of(answered) for name, metric in given.items()}
    return {name: one for name, one in found.items() if one is not None}
