"""The `evaluate` module behind a built-in metric. Importing this file is slow: it is done at the first score.

``evaluate.load("accuracy")`` needs a network, for the package itself carries no metric. A module that is
instantiated does not, and can be given to ``evaluate.combine`` or fed by ``add_batch`` all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import datasets
import evaluate

from bench.core.packages import cache_folder


class Module(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """An `evaluate.Metric`; subclasses say what it takes.

    Args:
        key: name of the score in the module's answer.
        title: what it is.
        citation: its source.
        score: computes it, from predictions and references.
    """

    features: ClassVar[datasets.Features]

    def __init__(self, key: str, title: str, citation: str, score: Callable[[Any, Any], float]) -> None:
        self._key, self._title, self._cited, self._score = key, title, citation, score
        # In memory, nothing is written; evaluate makes its folder all the same, so it gets one of ours.
        # A given seed keeps it from reading NumPy's global state.
        super().__init__(key, keep_in_memory=True, cache_dir=str(cache_folder() / "evaluate"), seed=0)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(description=self._title, citation=self._cited, features=self.features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return {self._key: self._score(predictions, references)}


class LabelModule(Module):
    """Takes label indices."""

    features: ClassVar[datasets.Features] = datasets.Features(
        {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
    )


class TextModule(Module):
    """Takes texts, and a list of references for each."""

    features: ClassVar[datasets.Features] = datasets.Features(
        {"predictions": datasets.Value("string"), "references": datasets.List(datasets.Value("string"))}
    )
