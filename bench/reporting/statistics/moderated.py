"""Variances of few seeds each, moderated by each other as far as they are alike (docs/statistics.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.reporting.statistics.components import Part

_ALIKE = 1e6
"""Degrees of freedom of a prior that stand for infinitely many."""


def prior_freedom(parts: Sequence[Part]) -> float:
    """Return with how many degrees of freedom the variances of all speak for that of one.

    Many where the variances differ no more than chance, given their own degrees of freedom, would have it; near zero
    where they differ by far.

    Args:
        parts: what seeds give to variances, above zero.

    Source: Smyth (2004), Linear models and empirical Bayes methods for assessing differential expression, section 6.2.
    """
    from scipy.optimize import brentq
    from scipy.special import polygamma

    if len(parts) < 2:
        return 0.0
    logs, freedom = _logs([part.variance for part in parts], [part.freedom for part in parts])
    spread = float(logs.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if spread <= polygamma(1, _ALIKE / 2):
        return _ALIKE
    return 2 * float(brentq(lambda half: polygamma(1, half) - spread, 1e-6, _ALIKE / 2))


def moderated(parts: Sequence[Part], prior: float, most: float) -> list[Part]:
    """Return each part with a variance between its own and that of all: `prior` says how far from its own.

    Args:
        parts: what seeds give to the variances of one family, above zero.
        prior: what `prior_freedom` returned.
        most: the most degrees of freedom that the family has; a part keeps its own if these are more.
    """
    from scipy.special import digamma

    if len(parts) < 2 or not prior:
        return list(parts)
    variances, freedom = np.array([part.variance for part in parts]), np.array([part.freedom for part in parts])
    logs, _ = _logs(variances, freedom)
    common = np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2))
    posterior = (prior * common + freedom * variances) / (prior + freedom)
    return [
        Part("seeds", float(variance), float(min(prior + own, max(own, most))))
        for variance, own in zip(posterior, freedom, strict=True)
    ]


def _logs(variances: ArrayLike, freedom: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logarithms of estimated variances without the bias that few degrees of freedom give them."""
    from scipy.special import digamma

    degrees = np.asarray(freedom, dtype=float)
    return np.log(np.asarray(variances)) - digamma(degrees / 2) + np.log(degrees / 2), degrees
