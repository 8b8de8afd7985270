"""How much each parameter of a study matters: Optuna's PED-ANOVA, and whether chance alone would show as much."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.distributions import Scalar
from bench.experiment.cell import Cell

MIN_TRIALS = 20
"""Below so many trials nothing is said."""
MIN_TOP = 5
"""The best trials are at least so many: Optuna's advice for a stable estimate."""
SHUFFLES = 149
"""The smallest p is then 1 in 150, which Holm's correction for up to seven parameters leaves below 5 %."""


@dataclass(frozen=True)
class Importance:
    """How much a parameter has to do with whether a trial is among the best of its study."""

    share: float
    """Of the sum over all parameters, 0 to 1."""
    p: float
    """Of how many studies, with the same scores dealt to the points at random, it has to do with at least as much."""


def importances(cell: Cell, points: Sequence[Mapping[str, Scalar]], scores: Sequence[float]) -> dict[str, Importance]:
    """Return the importance of each parameter that a cell's study varied, the greatest first.

    Args:
        cell: whose study it was.
        points: the values of each trial.
        scores: what each trial counts as on validation.

    Returns:
        Nothing where there are fewer than `MIN_TRIALS` trials, or no trial is better than another.

    Source: Watanabe, Bansal and Hutter (2023), PED-ANOVA, arXiv 2304.10255: the Pearson divergence of the density of
    the best trials (a tenth of them, at least `MIN_TOP`) from that of all trials, one parameter at a time.
    """
    if len(points) < MIN_TRIALS or len(set(scores)) < 2:
        return {}
    # Not above: the figure that names this module is listed without waiting for Optuna.
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    from bench.search.space import distributions

    space = distributions(cell)
    study = optuna.create_study()
    for point in points:
        study.add_trial(optuna.trial.create_trial(value=0.0, params=dict(point), distributions=space))
    names = sorted(space)
    costs = np.asarray(scores) * (-1 if cell.greater_is_better else 1)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, MIN_TOP / len(points)))

    def divergences(dealt: NDArray[np.float64]) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that less is better, which it is here
            found = get_param_importances(
                study, evaluator=evaluator, target=lambda trial: float(dealt[trial.number]), normalize=False
            )
        return np.asarray([found[name] for name in names])

    generator = np.random.default_rng(0)
    seen = divergences(costs)
    if not seen.sum():
        return {}
    dealt = np.stack([divergences(generator.permutation(costs)) for _ in range(SHUFFLES)])
    p = (1 + (dealt >= seen).sum(axis=0)) / (1 + SHUFFLES)
    found = {
        name: Importance(float(share), float(chance))
        for name, share, chance in zip(names, seen / seen.sum(), p, strict=True)
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].share))
