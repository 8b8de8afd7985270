"""Matthews correlation coefficient."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar

from bench.metrics.builtin import BuiltinMetric


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
