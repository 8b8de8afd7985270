"""One number for a method over many tasks, with what is uncertain about it (Agarwal et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.reporting.statistics.intervals import LEVEL, Interval

RESAMPLES = 2000


def interquartile_mean(scores: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the mean of the middle half of the scores (a quarter is cut off at each end, rounded down).

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical
    precipice, section 4.3. It is ``scipy.stats.trim_mean(scores, 0.25)``.
    """
    ordered = np.sort(np.asarray(scores, dtype=float), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def stratified_bootstrap(
    tasks: Sequence[Sequence[float]],
    statistic: Callable[[NDArray[np.float64]], float],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval | None:
    """Return the percentile interval of a statistic over all scores, seeds resampled within each task.

    Args:
        tasks: the scores of each task, one a seed; tasks may have different numbers of seeds.
        statistic: from all scores of a resample, [number of scores], to a number.
        generator: where the resamples come from.
        resamples: how many.
        level: confidence of the interval.

    Returns:
        The interval; None where no task has two seeds, for then nothing can be resampled.

    Source: Agarwal et al. (2021), section 4.1.
    """
    if not any(len(task) > 1 for task in tasks):
        return None
    strata = [np.asarray(task, dtype=float) for task in tasks]
    drawn = [
        stratum[generator.integers(len(stratum), size=(resamples, len(stratum)), dtype=np.int32)] for stratum in strata
    ]
    values = [statistic(scores) for scores in np.concatenate(drawn, axis=1)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def probability_of_improvement(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], greater_is_better: bool = True
) -> float:
    """Return how likely a run of the first method beats one of the second, averaged over tasks; a tie is half.

    Within a task it is Mann and Whitney's U divided by the number of pairs.

    Args:
        first: scores by task, one a seed.
        second: the same tasks in the same order.
        greater_is_better: whether a greater score is a better one.

    Source: Agarwal et al. (2021), section 4.3.
    """
    sign = 1 if greater_is_better else -1
    shares = []
    for ours, theirs in zip(first, second, strict=True):
        difference = sign * (np.asarray(ours, dtype=float)[:, None] - np.asarray(theirs, dtype=float)[None, :])
        shares.append(float(((difference > 0) + 0.5 * (difference == 0)).mean()))
    return float(np.mean(shares))
