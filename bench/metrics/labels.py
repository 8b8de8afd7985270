"""Metrics over label indices: a function of scikit-learn each, inside an `evaluate` module."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.metrics.base import Metric

if TYPE_CHECKING:
    import evaluate


class BuiltinMetric(Metric):
    """A metric that loads without a network; subclasses say how it is computed (`score`)."""

    key: ClassVar[str]
    """Name of the score in the module's answer; that of the hub's module of the same metric."""

    greater_is_better: Literal[True] = True
    """Whether a study maximises it."""

    @abstractmethod
    def score(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Compute the metric."""
        raise NotImplementedError

    def module(self) -> evaluate.Metric:
        """Return the metric as an `evaluate` module."""
        from bench.metrics.modules import LABELS, Module

        return Module(self.key, self.title, self.citation, LABELS, self.score)

    def compute(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Return the score; both sequences hold label indices and are of the same length."""
        return float(self.module().compute(predictions=predictions, references=references)[self.key])


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


class MatthewsCorrelation(BuiltinMetric):
    """Correlation of predictions and references, from -1 to 1; 0 is chance, also where labels are far from balanced.

    For more than two labels it is Gorodkin's R_K; where only one label is predicted it is 0.
    """

    title: ClassVar[str] = "Matthews correlation coefficient"
    citation: ClassVar[str] = (
        "Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient, "
        "Computational Biology and Chemistry 28, 2004; Matthews, Biochimica et Biophysica Acta 405, 1975"
    )
    key: ClassVar[str] = "matthews_correlation"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def score(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Compute R_K."""
        from sklearn.metrics import matthews_corrcoef

        with warnings.catch_warnings():
            # scikit-learn warns where only one label occurs: that is the documented 0, early in every training.
            warnings.simplefilter("ignore", UserWarning)
            return float(matthews_corrcoef(references, predictions))
