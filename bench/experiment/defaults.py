"""The cell's own values of what its study searches."""

from __future__ import annotations

from typing import Any

from bench.core.distributions import Choice, Distribution
from bench.experiment.cell import Cell
from bench.methods import methods


def own_values(cell: Cell) -> dict[str, Any]:
    """Return the values of method and training that the first trial runs, where they lie inside the range."""
    method = methods.build(cell.method.name, cell.method.options, cell.title)
    own = {**method.options(), **cell.training.model_dump()}
    return {
        name: own[name]
        for name, distribution in cell.search.items()
        if own.get(name) is not None and _contains(distribution, own[name])
    }


def _contains(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Choice):
        return value in distribution.choices
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high
