"""What the built-in metrics share: a function of scikit-learn inside an `evaluate` module."""

from __future__ import annotations

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

    def score(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Compute the metric."""
        raise NotImplementedError

    def module(self) -> evaluate.Metric:
        """Return the metric as an `evaluate` module."""
        from bench.metrics.modules import LabelModule

        return LabelModule(self.key, self.title, self.citation, self.score)

    def compute(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Return the score; both sequences hold label indices and are of the same length."""
        return float(self.module().compute(predictions=predictions, references=references)[self.key])
