"""The `evaluate` module behind a built-in metric. Importing this file is slow: it is done at the first score.

``evaluate.load("accuracy")`` needs a network, for the package itself carries no metric. A module that is
instantiated does not, and can be given to ``evaluate.combine`` or fed by ``add_batch`` all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import evaluate
from datasets import Features, List, Value

from bench.core.packages import cache_folder

LABELS = Features({"predictions": Value("int64"), "references": Value("int64")})
TEXTS = Features({"predictions": Value("string"), "references": List(Value("string"))})


class Module(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """An `evaluate.Metric` whose answer holds what `score` computes from predictions and references, as ``key``."""

    def __init__(
        self, key: str, title: str, citation: str, features: Features, score: Callable[[Any, Any], float]
    ) -> None:
        self._key, self._score = key, score
        self._described = evaluate.MetricInfo(description=title, citation=citation, features=features)
        # In memory, nothing is written; evaluate makes its folder all the same, so it gets one of ours.
        # A given seed keeps it from reading NumPy's global state.
        super().__init__(key, keep_in_memory=True, cache_dir=str(cache_folder() / "evaluate"), seed=0)

    def _info(self) -> evaluate.MetricInfo:
        return self._described

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return {self._key: self._score(predictions, references)}
