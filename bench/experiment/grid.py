"""A grid over a search space: which points it has, in an order that is spread over the whole grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.config import canonical_json, content_hash
from bench.core.distributions import Choice, Distribution, Int, Scalar

POINTS = 4
"""Values a range, unless ``sampler_options: {points: n}`` says otherwise."""


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
