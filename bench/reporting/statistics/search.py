"""What a search costs: the best that some trials may be expected to find, and how much the learning rate matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_RATES = 3
"""Below so many different learning rates nothing is said about sensitivity."""


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


def learning_rate_sensitivity(
    rates: Sequence[float], scores: Sequence[float], greater_is_better: bool = True
) -> float | None:
    """Return the score lost on average by a learning rate drawn log-uniformly instead of the best one.

    Between trials the score is interpolated linearly in the logarithm of the rate; of several trials
    at one rate the best counts, for other settings vary too. None below `MIN_RATES` rates.

    Source: after Wortsman et al. (2023), Small-scale proxies for large-scale transformer training
    instabilities, section 2.2 (learning-rate sensitivity), with scores in place of losses.
    """
    best: dict[float, float] = {}
    sign = 1 if greater_is_better else -1
    for rate, score in zip(rates, scores, strict=True):
        best[rate] = max(sign * score, best.get(rate, sign * score))
    if len(best) < MIN_RATES:
        return None
    at = np.log(sorted(best))
    lost = max(best.values()) - np.asarray([best[rate] for rate in sorted(best)])
    return float(np.trapezoid(lost, at) / (at[-1] - at[0]))
