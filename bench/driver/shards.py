"""Shards: cells are independent, so several drivers, on several machines, can each run a share of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bench.core.errors import BadInput
from bench.experiment.cell import Cell
from bench.planning.schedule import cost


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

    def share(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return this shard's cells: the dearest cell first, each goes to the shard that has least so far.

        Args:
            cells: all of them, in an order that is the same for every shard.
        """
        costs = [cost(cell).total for cell in cells]
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
