"""The cell's own values of what its study searches."""

from __future__ import annotations

from typing import Any

from bench.core.distributions import Choice, Distribution
from bench.experiment.cell import Cell
from bench.methods import methods


def own_values(cell: Cell) -> dict[str, Any]:
    """Return the values of method and training that the first trial runs, where they lie inside the range."""
    return {name: value for name, value in _defaults(cell).items() if _contains(cell.search[name], value)}


def defaults_outside(cell: Cell) -> dict[str, Any]:
    """Return those that lie outside of their range, which the first trial cannot run."""
    return {name: value for name, value in _defaults(cell).items() if not _contains(cell.search[name], value)}


def _defaults(cell: Cell) -> dict[str, Any]:
    method = methods.build(cell.method.name, cell.method.options, cell.title)
    own = {**method.options(), **cell.training.model_dump()}
    return {name: own[name] for name in cell.search if own.get(name) is not None}


def _contains(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Choice):
        return value in distribution.choices
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high
