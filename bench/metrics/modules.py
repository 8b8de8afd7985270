"""The `evaluate` module behind a built-in metric. Importing this file is slow: it is done at the first score.

``evaluate.load("accuracy")`` needs a network, for the package itself carries no metric. A module that is
instantiated does not, and can be given to ``evaluate.combine`` or fed by ``add_batch`` all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import datasets
import evaluate

from bench.core.packages import cache_folder

if TYPE_CHECKING:
    from bench.metrics.builtin import BuiltinMetric


class LabelModule(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """An `evaluate.Metric` over label indices that asks a `BuiltinMetric` for the score."""

    def __init__(self, metric: BuiltinMetric) -> None:
        self._metric = metric
        # In memory, nothing is written; evaluate makes its folder all the same, so it gets one of ours.
        # A given seed keeps it from reading NumPy's global state.
        super().__init__(metric.key, keep_in_memory=True, cache_dir=str(cache_folder() / "evaluate"), seed=0)

    def _info(self) -> evaluate.MetricInfo:
        label = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=self._metric.title,
            citation=self._metric.citation,
            features=datasets.Features({"predictions": label, "references": label}),
        )

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {self._metric.key: self._metric.score(predictions, references)}
