"""A trial's parts, ready to be trained and tested."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.core.entries import Entry
from bench.datasets import datasets
from bench.datasets.base import Splits
from bench.methods.base import TunedModel
from bench.metrics import metrics
from bench.metrics.base import Metric
from bench.models.base import LanguageModel
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
    metrics: dict[str, Metric]

    @property
    def answers_with_words(self) -> bool:
        """Whether any label words can be scored, not just those that it was trained on."""
        return self.base is not None and self.base.kind.generates


def build_metrics(entry: Entry) -> dict[str, Metric]:
    """Return a data set's metrics by label; the first is the main one."""
    dataset = datasets.build(entry.name, entry.options, f"data set {entry.label}")
    built = {each.label: metrics.build(each.name, each.options, f"metric {each.label}") for each in dataset.metrics}
    return {label: metric for label, metric in built.items() if isinstance(metric, Metric)}
