"""What a search costs: the best that some trials may be expected to find, and how much the learning rate matters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.reporting.statistics.intervals import LEVEL, Interval

MIN_RATES = 3
"""Below so many different learning rates nothing is said about sensitivity."""


def counted_score(status: str, best: float | None, last: float | None, chance: float) -> float | None:
    """Return what a trial counts as; None for one that was ended from outside, which says nothing of its setting.

    A finished trial counts with its score, a pruned one with its last, a diverged one (or one that was pruned before
    it had a score) as chance, the score of the majority class: left out, the settings that fail would make an unstable
    method look easy to tune.
    """
    if status == "ok":
        return best
    if status == "pruned":
        return chance if last is None else last
    return chance if status == "diverged" else None


def next_one(values: Sequence[float], level: float = LEVEL) -> float:
    """Return how far from the mean of some values a further one may lie: half of their prediction interval."""
    from scipy.special import stdtrit

    count = len(values)
    return float(stdtrit(count - 1, (1 + level) / 2) * np.std(values, ddof=1) * np.sqrt(1 + 1 / count))


def expected_best(scores: Sequence[float], trials: int, greater_is_better: bool = True) -> float:
    """Return the expected best validation score after ``trials`` trials drawn from those that were run.

    Draws are with replacement from the empirical distribution, so the order in which the sampler
    asked does not matter; trials of a sampler that learns are better than independent ones towards
    the end, which makes the curve an estimate for random search with the same range.

    Raises:
        ValueError: more trials than scores: the curve is not extrapolated.

    Source: Dodge et al. (2019), Show your work, section 3.1.
    """
    if not 1 <= trials <= len(scores):
        raise ValueError(f"between 1 and {len(scores)} trials, found {trials}")
    ordered = np.sort(np.asarray(scores, dtype=float))
    if not greater_is_better:
        return -expected_best((-ordered).tolist(), trials)
    share = np.arange(len(ordered) + 1) / len(ordered)
    return float(np.sum(ordered * np.diff(share**trials)))


def expected_best_band(
    scores: Sequence[float], bounds: tuple[float, float], greater_is_better: bool = True, level: float = LEVEL
) -> list[Interval]:
    """Return the band of the expected best score after 1, 2, ... trials, as many as there are scores.

    With probability ``level`` it holds the whole true curve, where the trials are independent draws (random search):
    it is what a simultaneous band of the distribution function allows. Few trials say nothing of what lies above the
    best one, so towards the end the upper end comes close to the upper bound of the metric.

    Source: Lourie, Cho and He (2023), Show your work with confidence, with the band of equal tails at each order
    statistic; the mean in place of the median.
    """
    if not greater_is_better:
        mirrored = expected_best_band([-score for score in scores], (-bounds[1], -bounds[0]), level=level)
        return [Interval(-one.high, -one.low) for one in mirrored]
    from scipy.stats import beta

    count = len(scores)
    place = np.arange(1, count + 1)
    tail = _local_tail(count, level)
    under = np.concatenate([[0.0], beta.ppf(tail / 2, place, count + 1 - place)])
    over = np.concatenate([beta.isf(tail / 2, place, count + 1 - place), [1.0]])
    # E max of n = high - integral of F^n, and F lies between these steps.
    steps = np.diff([bounds[0], *sorted(scores), bounds[1]])
    return [Interval(bounds[1] - float(steps @ over**n), bounds[1] - float(steps @ under**n)) for n in place]


@lru_cache
def _local_tail(count: int, level: float, draws: int = 20_000) -> float:
    """Return the tail that each order statistic may have for all of them to be inside at once with ``level``."""
    from scipy.special import betainc

    place = np.arange(1, count + 1)
    uniform = np.sort(np.random.default_rng(0).random((draws, count)), axis=1)
    below: NDArray[np.float64] = betainc(place, count + 1 - place, uniform)
    return float(np.quantile(2 * np.minimum(below, 1 - below).min(axis=1), 1 - level))


def learning_rate_sensitivity(
    rates: Sequence[float],
    scores: Sequence[float],
    greater_is_better: bool = True,
    declared: tuple[float, float] | None = None,
) -> float | None:
    """Return the score lost on average by a learning rate drawn log-uniformly instead of the best one.

    Between trials the score is interpolated linearly in the logarithm of the rate, beyond the outermost ones it stays
    as it is; of several trials at one rate the best counts, for other settings vary too. Diverged trials have
    scores too (`counted_score`). ``declared`` is the range that was searched; None for the one between the trials. None
    below `MIN_RATES` rates.

    Source: after Wortsman et al. (2023), Small-scale proxies for large-scale transformer training
    instabilities, section 2.2 (learning-rate sensitivity), with scores in place of losses.
    """
    best: dict[float, float] = {}
    sign = 1 if greater_is_better else -1
    for rate, score in zip(rates, scores, strict=True):
        best[rate] = max(sign * score, best.get(rate, sign * score))
    if len(best) < MIN_RATES:
        return None
    known = sorted(best)
    low, high = declared or (known[0], known[-1])
    at = np.log(sorted({low, high, *(rate for rate in known if low <= rate <= high)}))
    lost = max(best.values()) - np.interp(at, np.log(known), [best[rate] for rate in known])
    return float(np.trapezoid(lost, at) / (at[-1] - at[0]))
