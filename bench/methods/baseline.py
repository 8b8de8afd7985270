"""What baselines without a language model share: what a method must beat to have learned, or needed, anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.methods.base import ByLogits, Method, TunedModel

if TYPE_CHECKING:
    from torch.nn import Parameter

    from bench.datasets.examples import Example


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
