"""Shards: cells are independent, so several drivers, on several machines, can each run a share of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from bench.core.errors import BadInput
from bench.experiment.cell import Cell
from bench.models import models

FIXED_COST = 10_000_000
"""A run's time grows with the model's parameters plus these: what a run costs whatever the model (seen in the
quickstart's records: 158 times the parameters take about 14 times as long)."""
_UNKNOWN = 1_000_000_000
"""Parameters that a model counts for which states none: looking for them could give each machine another answer."""


def expected_cost(cell: Cell) -> float:
    """Return what a cell is expected to take, in a unit of its own, from what the experiment says alone."""
    size = 0 if cell.model is None else models.get(cell.model.name).parameters or _UNKNOWN
    runs = cell.study.trials + cell.planned_finals
    return float((size + FIXED_COST) * runs * cell.training.max_steps * cell.training.batch_size)


@dataclass(frozen=True)
class Shard:
    """One of several shares of the cells of an experiment."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that ``K/N`` names.

        Raises:
            BadInput: it names none.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise BadInput(f"--shard: expected K/N with K from 1 to N, such as 2/8, found '{text}'")
        return cls(int(found[1]), int(found[2]))

    def share(self, cells: Sequence[Cell], cost: Callable[[Cell], float] = expected_cost) -> list[Cell]:
        """Return this shard's cells: the dearest cell first, each goes to the shard that has least so far.

        Args:
            cells: all of them, in an order that is the same for every shard.
            cost: what a cell is expected to take.
        """
        costs = [cost(cell) for cell in cells]
        load = [0.0] * self.of
        mine = set()
        for index in sorted(range(len(cells)), key=lambda i: -costs[i]):
            least = load.index(min(load))
            load[least] += costs[index]
            if least == self.number - 1:
                mine.add(index)
        return [cell for index, cell in enumerate(cells) if index in mine]

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"
