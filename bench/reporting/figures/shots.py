"""Number of examples in the prompt against score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.core.grouping import grouped
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, PanelAMethod
from bench.reporting.figures.canvas import Style, score_line, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Shots(PanelAMethod):
    """Examples in a hard prompt against score on test: a panel a method, a line a model, zero-shot at the left."""

    about: ClassVar[str] = (
        "Few-shot: the model is not trained, it reads so many solved examples before its own. Points are means over "
        "seeds (other seeds, other examples), bars one standard deviation to either side."
    )
    seen: ClassVar[str] = "{dataset}: {metric} on test against examples in the prompt"

    lacking: ClassVar[str] = "no method was used with two numbers of examples in its prompt (shots)"
    across: ClassVar[str] = "examples in the prompt"

    def _method(self, cell: CellResults) -> str:
        return cell.settings.method.name

    def _found(self, cell: CellResults) -> list[tuple[int, float]] | None:
        return None if cell.mean is None or cell.shots is None else [(cell.shots, cell.mean)]

    def _panel(
        self, axes: Axes, members: Sequence[Member[list[tuple[int, float]]]], styles: Mapping[str, Style]
    ) -> None:
        points = [(shots, cell) for cell, [(shots, _)] in members]
        for model, line in grouped(points, lambda point: point[1].model).items():
            score_line(axes, line, styles[model])
        whole_numbers(axes)
