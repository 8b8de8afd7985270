"""Accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.metrics.builtin import BuiltinMetric


class Accuracy(BuiltinMetric):
    """Share of the predictions that are right, from 0 to 1; says little where one label is much the most frequent."""

    title: ClassVar[str] = "Accuracy"
    key: ClassVar[str] = "accuracy"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    share_of_right: ClassVar[bool] = True

    def score(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Compute the share of positions where both agree."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(references, predictions))
