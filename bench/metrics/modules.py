"""The `evaluate` module behind a built-in metric. Importing this file is slow: it is done at the first score.

``evaluate.load("accuracy")`` needs a network, for the package itself carries no metric. A module that is
instantiated does not, and can be given to ``evaluate.combine`` or fed by ``add_batch`` all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import datasets
import evaluate

from bench.core.packages import cache_folder

Score = Callable[[Sequence[int], Sequence[int]], float]
"""From predictions and references, label indices both, to a score."""


class LabelModule(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """An `evaluate.Metric` over label indices.

    Args:
        key: name of the score in the module's answer.
        title: what it is.
        citation: its source.
        score: computes it.
    """

    def __init__(self, key: str, title: str, citation: str, score: Score) -> None:
        self._key, self._title, self._cited, self._score = key, title, citation, score
        # In memory, nothing is written; evaluate makes its folder all the same, so it gets one of ours.
        # A given seed keeps it from reading NumPy's global state.
        super().__init__(key, keep_in_memory=True, cache_dir=str(cache_folder() / "evaluate"), seed=0)

    def _info(self) -> evaluate.MetricInfo:
        label = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=self._title,
            citation=self._cited,
            features=datasets.Features({"predictions": label, "references": label}),
        )

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {self._key: self._score(predictions, references)}
