"""Number of examples in the prompt against score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import (
    Style,
    model_legend,
    model_lines,
    panels,
    score_line,
    score_on_test,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


class Shots(Figure):
    """Examples in a hard prompt against score on test: a panel a method, a line a model, zero-shot at the left."""

    about: ClassVar[str] = (
        "Few-shot: the model is not trained, it reads so many solved examples before its own. Points are means over "
        "seeds (other seeds, other examples), bars one standard deviation to either side."
    )
    seen: ClassVar[str] = "{dataset}: {metric} on test against examples in the prompt"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        methods: dict[str, dict[str, list[tuple[int, CellResults]]]] = {}
        for cell in cells:
            shots = cell.shots if cell.mean is not None else None
            if shots is not None:
                name = cell.settings.method.name
                methods.setdefault(name, {}).setdefault(cell.model, []).append((shots, cell))
        methods = {
            name: lines
            for name, lines in methods.items()
            if len({shots for line in lines.values() for shots, _ in line}) > 1
        }
        if not methods:
            raise NoData("no method was used with two numbers of examples in its prompt (shots)")
        styles_of = model_lines(cells)
        figure, axes = panels(len(methods), self.title(cells))
        for panel, (name, lines) in zip(axes, methods.items(), strict=True):
            for model, line in lines.items():
                line.sort(key=lambda point: point[0])
                score_line(panel, line, styles_of[model])
            whole_numbers(panel)
            panel.set_title(text.wrap(name, 30), fontsize="medium")
            panel.set_xlabel("examples in the prompt")
        axes[0].set_ylabel(score_on_test(cells[0]))
        model_legend(figure, cells, {model for lines in methods.values() for model in lines}, styles_of)
        return figure
