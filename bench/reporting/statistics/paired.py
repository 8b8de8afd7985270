"""Tests on pairs of methods over data sets, and what many tests at once need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_DATA_SETS = 6
"""Below so many data sets Wilcoxon's test cannot give p < 0.05, whatever the scores (2 / 2**5 = 0.0625)."""

MIN_ITEMS = 20
"""Below so many test items nothing is said about a difference between two methods on them."""


@dataclass(frozen=True)
class Paired:
    """Two methods over the same data sets."""

    p: float
    """Two-sided p of Wilcoxon's signed-rank test; 1 where all differences are zero."""
    effect: float
    """Matched-pairs rank-biserial correlation, -1 to 1; positive where the first is greater (Kerby, 2014)."""
    median: float
    """Median of the differences, first minus second."""
    pairs: int


def wilcoxon(first: Sequence[float], second: Sequence[float]) -> Paired | None:
    """Test whether two methods, each a mean score a data set, differ over them; None below `MIN_DATA_SETS`.

    Source: Wilcoxon (1945); recommended for this by Demsar (2006), Statistical comparisons of
    classifiers over multiple data sets, section 3.1.3. Differences of zero are dropped.
    """
    from scipy import stats

    # Scores are read with 12 digits, so that 0.3 - 0.2 and 0.2 - 0.1 are the tie that they are.
    differences = np.round(np.subtract(first, second), 12)
    if len(differences) < MIN_DATA_SETS:
        return None
    median = float(np.median(differences))
    moved = differences[differences != 0]
    if not len(moved):
        return Paired(1.0, 0.0, median, len(differences))
    ranks = stats.rankdata(np.abs(moved))
    effect = float(ranks[moved > 0].sum() - ranks[moved < 0].sum()) / float(ranks.sum())
    return Paired(float(stats.wilcoxon(moved).pvalue), effect, median, len(differences))


def holm(values: Sequence[float]) -> list[float]:
    """Correct p values for their number by the step-down rule of Holm (1979), in the order given."""
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda place: values[place])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected
