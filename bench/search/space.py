"""A cell's search space as Optuna has it."""

from __future__ import annotations

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from bench.core.distributions import Choice, Distribution, Float
from bench.experiment.cell import Cell

optuna.logging.set_verbosity(optuna.logging.WARNING)


def distributions(cell: Cell) -> dict[str, BaseDistribution]:
    """Return a cell's search space as Optuna's distributions."""
    return {name: _distribution(ours) for name, ours in cell.search.items()}


def _distribution(ours: Distribution) -> BaseDistribution:
    if isinstance(ours, Choice):
        return CategoricalDistribution(ours.choices)
    if isinstance(ours, Float):
        return FloatDistribution(ours.low, ours.high, log=ours.log)
    return IntDistribution(ours.low, ours.high, log=ours.log)
