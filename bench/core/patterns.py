"""Patterns that choose cells of a grid, as ``--only`` and ``--skip`` take them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from bench.core.errors import BadInput, did_you_mean


class Labelled(Protocol):
    """What has the labels of a model, a data set and a method: a cell that is planned, or one of a report."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Of model, data set and method."""


Cells = TypeVar("Cells", bound=Labelled)


def choose(cells: Sequence[Cells], only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Cells]:
    """Return the cells that fit one of ``only``, if there are any, and none of ``skip``.

    A pattern is the label of a model, a data set or a method, or ``model/data set/method``; ``*`` stands for anything.

    Raises:
        BadInput: a pattern that fits no cell, or nothing is left.
    """
    for option, patterns in (("--only", only), ("--skip", skip)):
        for pattern in patterns:
            if not any(_fits(cell, pattern) for cell in cells):
                labels = {label for cell in cells for label in (*cell.labels, "/".join(cell.labels))}
                raise BadInput(f"{option} {pattern}: fits no cell{did_you_mean(pattern, labels)}")
    kept = [cell for cell in cells if not only or any(_fits(cell, pattern) for pattern in only)]
    kept = [cell for cell in kept if not any(_fits(cell, pattern) for pattern in skip)]
    if not kept:
        raise BadInput("--only and --skip leave no cell")
    return kept


def _fits(cell: Labelled, pattern: str) -> bool:
    if pattern.count("/") == len(cell.labels) - 1:
        return all(map(fnmatchcase, cell.labels, pattern.split("/")))
    return any(fnmatchcase(label, pattern) for label in cell.labels)
