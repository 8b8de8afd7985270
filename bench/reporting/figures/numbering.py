"""Labels that no installed font has the letters of: they are numbered in a figure, and told beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from bench.reporting.cells import CellResults, Group


def numbered(cells: Sequence[CellResults], missing: Collection[str]) -> tuple[list[CellResults], dict[str, str]]:
    """Return the cells with numbers for the labels that cannot be drawn: ``data set 1``, ``method 2``.

    Args:
        cells: of a figure.
        missing: the letters that no font has.

    Returns:
        The cells as they are drawn, in the same groups; and each number's label.
    """
    data = dict.fromkeys([*(cell.dataset for cell in cells), *(t.dataset for cell in cells for t in cell.transfers)])
    models = _numbers("model", dict.fromkeys(cell.model for cell in cells), missing)
    datasets = _numbers("data set", data, missing)
    methods = _numbers("method", dict.fromkeys(cell.method for cell in cells), missing)
    names = {number: label for of in (models, datasets, methods) for label, number in of.items()}
    if not names:
        return list(cells), {}
    groups = {id(cell.group): Group() for cell in cells}
    drawn = {
        id(cell): replace(
            cell,
            model=models.get(cell.model, cell.model),
            dataset=datasets.get(cell.dataset, cell.dataset),
            method=methods.get(cell.method, cell.method),
            drawn_as=datasets,
            group=groups[id(cell.group)],
        )
        for cell in cells
    }
    for group in {id(cell.group): cell.group for cell in cells}.values():
        groups[id(group)].cells.extend(drawn.get(id(cell), cell) for cell in group.cells)
    return list(drawn.values()), names


def said(names: Mapping[str, str]) -> str:
    """Say which number is which label, where letters are no trouble: ``data set 1 is ...``."""
    return "; ".join(f"{number} is {label}" for number, label in names.items())


def _numbers(kind: str, labels: Iterable[str], missing: Collection[str]) -> dict[str, str]:
    unknown = [label for label in labels if not set(label).isdisjoint(missing)]
    return {label: f"{kind} {place}" for place, label in enumerate(unknown, 1)}
