"""Macro-averaged F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.metrics.builtin import BuiltinMetric


class F1Macro(BuiltinMetric):
    """Mean over the labels of their F1, from 0 to 1: every label counts the same, however rare.

    The mean is over the labels that occur in predictions or references; a label that is never right counts 0.
    """

    title: ClassVar[str] = "Macro-averaged F1"
    citation: ClassVar[str] = "van Rijsbergen, Information Retrieval, 2nd edition, Butterworths, 1979"
    key: ClassVar[str] = "f1"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def score(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Compute the unweighted mean of the labels' F1."""
        from sklearn.metrics import f1_score

        return float(f1_score(references, predictions, average="macro", zero_division=0))
