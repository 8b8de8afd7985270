"""Prompt length against score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os.path import commonprefix
from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.config import canonical_json
from bench.core.grouping import grouped
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, NoData, PanelAModel
from bench.reporting.figures.canvas import Style, log_scale, method_styles, score_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_LENGTH = "num_virtual_tokens"


class PromptLength(PanelAModel[int]):
    """Prompt length against score on test: a panel a model, a line for methods that differ in nothing else."""

    about: ClassVar[str] = "Points are means over seeds, bars one standard deviation to either side."
    seen: ClassVar[str] = "{dataset}: {metric} on test against prompt length"
    lacking: ClassVar[str] = "no two methods differ in the length of their prompt alone"
    across: ClassVar[str] = "virtual tokens (log scale)"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric; lines have styles of their own, for several methods make one."""
        del styles
        lines = lines_of_length(cells)
        joined = [replace(cell, method=lines[cell.method]) for cell in cells if cell.method in lines]
        if not joined:
            raise NoData(self.lacking)
        return super().draw(joined, method_styles(lines.values()))

    def _size(self, panels: Mapping[str, Sequence[Member[int]]]) -> dict[str, Any]:
        return {"sharey": True}

    def _found(self, cell: CellResults) -> int | None:
        return _length(cell)

    def _panel(self, axes: Axes, members: Sequence[Member[int]], styles: Mapping[str, Style]) -> None:
        for line, points in grouped(members, lambda member: member[0].method).items():
            score_line(axes, [(length, cell) for cell, length in points], styles[line])
        log_scale(axes, "x", most=8)


def _length(cell: CellResults) -> int | None:
    length = cell.settings.method.options.get(_LENGTH)
    return length if isinstance(length, int) and length > 0 and cell.mean is not None else None


def lines_of_length(cells: Iterable[CellResults]) -> dict[str, str]:
    """Return the line of each method that has one, named by what the labels on it begin with: ``text``."""

    def but_for_length(cell: CellResults) -> str:
        settings = cell.settings.model_dump(mode="json", include={"training", "search"})
        method = cell.settings.method
        options = {key: value for key, value in method.options.items() if key != _LENGTH}
        return canonical_json([method.name, options, settings])

    with_length = [cell for cell in cells if _length(cell) and _LENGTH not in cell.settings.search]
    alike = [
        list(dict.fromkeys(cell.method for cell in line))
        for line in grouped(with_length, but_for_length).values()
        if any(len(set(map(_length, at))) > 1 for at in grouped(line, lambda cell: cell.model).values())
    ]
    begins = [commonprefix(labels).rstrip("-_ 0123456789") for labels in alike]  # noqa: RUF071 - these are no paths
    return {
        label: begin if begin and begins.count(begin) == 1 else ", ".join(labels)
        for labels, begin in zip(alike, begins, strict=True)
        for label in labels
    }
