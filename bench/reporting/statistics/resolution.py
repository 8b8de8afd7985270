"""The smallest gap that can be told from chance, before anything is run."""

from __future__ import annotations

from dataclasses import replace

from bench.reporting.statistics.components import Part, critical, standard_error
from bench.reporting.statistics.intervals import LEVEL, MIN_SEEDS
from bench.reporting.statistics.paired import MIN_ITEMS


def discordance(accuracy: float, correlation: float = 0.0) -> float:
    """Return the share of items that two methods of the same accuracy answer differently, one right and one wrong.

    The correlation is that of being right on the same item: 0 is the worst case, two methods on one model have about a
    half.
    """
    return 2 * accuracy * (1 - accuracy) * (1 - correlation)


def planned_resolution(
    seeds: int, items: int, differ: float, seed_sd: float, methods: int = 2, level: float = LEVEL
) -> float | None:
    """Return the gap of two accuracies below which a run of this size says ``within``; None below the least sizes.

    It holds for the variance that is assumed, alike for all methods; a study whose own variance turns out smaller can
    resolve a little more, one whose methods are unlike less.

    Args:
        seeds: a method.
        items: of the test split.
        differ: share of the items that one method has right and the other wrong (`discordance`).
        seed_sd: standard deviation of an accuracy over seeds.
        methods: that are compared; the first step of Holm's correction for all their pairs is taken.
        level: confidence.
    """
    if seeds < MIN_SEEDS or items < MIN_ITEMS:
        return None
    over_items = Part("items", differ / items + 2 / items**2, items - 1)
    own = [over_items, Part("seeds", 2 * seed_sd**2 / seeds, seeds - 1)]
    together = [over_items, replace(own[1], freedom=(methods - 1) * (seeds - 1))]
    pairs = methods * (methods - 1) // 2
    return max(critical(own, level), critical(together, 1 - (1 - level) / pairs)) * standard_error(own)
