"""One number for a method over many tasks, with what is uncertain about it (Agarwal et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.reporting.statistics.components import Scores
from bench.reporting.statistics.intervals import LEVEL, Interval

RESAMPLES = 2000


def interquartile_mean(scores: Sequence[float] | Scores, axis: int | None = None) -> Any:
    """Return the mean of the middle half of the scores (a quarter is cut off at each end, rounded down).

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical
    precipice, section 4.3.
    """
    from scipy.stats import trim_mean

    return trim_mean(scores, 0.25, axis=axis)


def stratified_bootstrap(
    tasks: Sequence[Sequence[float]],
    statistic: Callable[..., Any],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Return the 95 % percentile interval of a statistic over all scores, seeds resampled within each task.

    A task is its scores, one a seed; tasks may have different numbers of seeds. The statistic takes an array and an
    ``axis``. None where no task has two seeds, for then nothing can be resampled.

    Source: Agarwal et al. (2021), section 4.1.
    """
    from scipy.stats import bootstrap

    # A task of one score is not resampled.
    fixed = np.array([task[0] for task in tasks if len(task) == 1])
    resampled = [np.asarray(task, dtype=float) for task in tasks if len(task) > 1]
    if not resampled:
        return None

    def over_all(*drawn: Scores, axis: int) -> Any:
        rest = np.broadcast_to(fixed, (*drawn[0].shape[:-1], len(fixed)))
        return statistic(np.concatenate([*drawn, rest], axis=-1), axis=-1)

    found = bootstrap(
        resampled, over_all, method="percentile", n_resamples=resamples, confidence_level=LEVEL, rng=generator
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def probability_of_improvement(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], greater_is_better: bool = True
) -> float:
    """Return how likely a run of the first method beats one of the second, averaged over tasks; a tie is half.

    Within a task it is Mann and Whitney's U divided by the number of pairs. Both have scores by task, one a seed, the
    tasks in the same order.

    Source: Agarwal et al. (2021), section 4.3.
    """
    sign = 1 if greater_is_better else -1
    shares = []
    for ours, theirs in zip(first, second, strict=True):
        difference = sign * (np.asarray(ours, dtype=float)[:, None] - np.asarray(theirs, dtype=float)[None, :])
        shares.append(float(((difference > 0) + 0.5 * (difference == 0)).mean()))
    return float(np.mean(shares))
