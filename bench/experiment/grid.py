"""Points of a search space: the cell's own, and a grid in an order that is spread over the whole of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.config import canonical_json, content_hash
from bench.core.distributions import Choice, Distribution, Int, Scalar
from bench.experiment.cell import Cell
from bench.methods import methods

POINTS = 4
"""Values a range, unless ``sampler_options: {points: n}`` says otherwise."""


def own_values(cell: Cell, outside: bool = False) -> dict[str, Any]:
    """Return the values of method and training that the first trial runs, where they lie inside their range.

    Args:
        cell: whose values they are.
        outside: return those instead that lie outside, which the first trial cannot run.
    """
    method = methods.build(cell.method.name, cell.method.options, cell.title)
    own = {**method.options(), **cell.training.model_dump()}
    return {
        name: own.get(name)
        for name, distribution in cell.search.items()
        if _contains(distribution, own.get(name)) != outside and not (outside and own.get(name) is None)
    }


def _contains(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Choice):
        return value in distribution.choices
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high


def cell_grid(cell: Cell) -> list[dict[str, Scalar]]:
    """Return the points of the grid that a cell asks for."""
    return grid_points(cell.search, own_values(cell), cell.study.sampler_options.get("points", POINTS))


def grid_points(
    space: Mapping[str, Distribution], defaults: Mapping[str, Any], points: int = POINTS
) -> list[dict[str, Scalar]]:
    """Return the points of a grid, the default values first.

    The others are in an order that is random but always the same, so that a study with fewer trials than points
    has tried values from all over the grid.

    Args:
        space: what is searched; a range gives ``points`` values, both ends included, a choice all of its own.
        defaults: the cell's own values; the first point has them where they lie in the range.
        points: values a range.
    """
    axes = {name: _values(distribution, points) for name, distribution in space.items()}
    grid = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    grid.sort(key=content_hash)
    first = {name: defaults.get(name, values[len(values) // 2]) for name, values in axes.items()}
    own = canonical_json(first)
    return [first, *(point for point in grid if canonical_json(point) != own)]


def number_of_points(space: Mapping[str, Distribution]) -> int | None:
    """Return how many points a search space has; None if there is no end of them."""
    sizes = [_size(distribution) for distribution in space.values()]
    return math.prod(size for size in sizes if size is not None) if None not in sizes else None


def _size(distribution: Distribution) -> int | None:
    if isinstance(distribution, Choice):
        return len({canonical_json(choice) for choice in distribution.choices})
    if isinstance(distribution, Int):
        return distribution.high - distribution.low + 1
    return 1 if distribution.low == distribution.high else None


def _values(distribution: Distribution, points: int) -> Sequence[Scalar]:
    if isinstance(distribution, Choice):
        return distribution.choices
    low, high = distribution.low, distribution.high
    if low == high or points == 1:
        return [low]
    scale, back = (math.log, math.exp) if distribution.log else (float, float)
    begin, end = scale(low), scale(high)
    inner = [back(begin + (end - begin) * i / (points - 1)) for i in range(1, points - 1)]
    values = [low, *inner, high]
    return sorted({round(v) for v in values}) if isinstance(distribution, Int) else values
