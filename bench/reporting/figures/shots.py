"""Number of examples in the prompt against score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.core.grouping import grouped
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, PanelAModel
from bench.reporting.figures.canvas import Style, model_legend, model_lines, score_line, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


class Shots(PanelAModel[int]):
    """Examples in a hard prompt against score on test: a panel a method, a line a model, zero-shot at the left."""

    about: ClassVar[str] = (
        "Few-shot: the model is not trained, it reads so many solved examples before its own. Points are means over "
        "seeds (other seeds, other examples), bars one standard deviation to either side."
    )
    seen: ClassVar[str] = "{dataset}: {metric} on test against examples in the prompt"

    lacking: ClassVar[str] = "no method was used with two numbers of examples in its prompt (shots)"
    across: ClassVar[str] = "examples in the prompt"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric; the styles are those of models."""
        del styles
        return super().draw(cells, model_lines(cells))

    def _found(self, cell: CellResults) -> int | None:
        return None if cell.mean is None else cell.shots

    def _panels(self, members: Sequence[Member[int]]) -> dict[str, list[Member[int]]]:
        """Put the cells of one method into a panel, whatever their labels; one number of examples makes no line."""
        methods = grouped(members, lambda member: member[0].settings.method.name)
        return {name: of for name, of in methods.items() if len({shots for _, shots in of}) > 1}

    def _heading(self, name: str, members: Sequence[Member[int]]) -> str:
        return text.wrap(name, 30)

    def _panel(self, axes: Axes, members: Sequence[Member[int]], styles: Mapping[str, Style]) -> None:
        for model, line in grouped(members, lambda member: member[0].model).items():
            score_line(axes, [(shots, cell) for cell, shots in line], styles[model])
        whole_numbers(axes)

    def _legend(self, canvas: Canvas, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> None:
        model_legend(canvas, cells, styles)
