"""The best learning rate of a study, and the ratio of two methods' best rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.reporting.statistics.contrast import Contrast
from bench.reporting.statistics.intervals import LEVEL, Interval

RESAMPLES = 2000
MIN_TRIALS = 8
"""Below so many trials nothing is said about which rate is best."""


@dataclass(frozen=True)
class Tried:
    """The trials of one study, drawn at random over a range of learning rates."""

    rates: tuple[float, ...]
    scores: tuple[float, ...]
    """On validation, the greater the better, from 0 to 1."""
    items: int
    """Of the validation split."""


def best_rate(tried: Tried) -> float:
    """Return the rate with the highest score, of several the one in the middle."""
    return float(math.exp(_best(np.log(tried.rates), np.asarray(tried.scores)[None])[0]))


def rate_ratio(pairs: Sequence[tuple[Tried, Tried]], generator: np.random.Generator, level: float = LEVEL) -> Contrast:
    """Return the geometric mean, over some models, of one method's best learning rate over another's.

    The interval is a percentile bootstrap: trials are resampled, for other rates could have been drawn, and each score
    is drawn again around what was seen with the standard error of a share of so many validation items, for other items
    could have been there. A pair is, of a model, the trials of the one method and of the other.
    """
    logs = [math.log(best_rate(one) / best_rate(other)) for one, other in pairs]
    drawn = np.mean([_resampled(one, generator) - _resampled(other, generator) for one, other in pairs], axis=0)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Contrast(math.exp(float(np.mean(logs))), Interval(math.exp(float(low)), math.exp(float(high))))


def _resampled(tried: Tried, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return the logarithm of the best rate in each resample."""
    count = len(tried.rates)
    seen = np.clip(np.asarray(tried.scores), 1 / (tried.items + 2), 1 - 1 / (tried.items + 2))
    scores = seen + generator.normal(size=(RESAMPLES, count)) * np.sqrt(seen * (1 - seen) / tried.items)
    # A trial that is drawn twice is one trial still: what matters is which are there.
    there = np.zeros((RESAMPLES, count), dtype=bool)
    there[np.arange(RESAMPLES)[:, None], generator.integers(count, size=(RESAMPLES, count))] = True
    return _best(np.log(tried.rates), np.where(there, scores, -np.inf))


def _best(logs: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    top = scores >= scores.max(axis=1, keepdims=True) - 1e-12
    middle: NDArray[np.float64] = np.nanmedian(np.where(top, logs, np.nan), axis=1)
    return middle
