"""Initialisation against score, by size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import LEGEND, Style, new_canvas, put_title, score_on_test
from bench.reporting.figures.prompt_length import lines_of_length

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


class Initialisation(Figure):
    """How a prompt begins against the score it ends with, by size of the model."""

    about: ClassVar[str] = "Points are means over seeds, bars one standard deviation to either side."
    seen: ClassVar[str] = "{dataset}: {metric} on test by initialisation and model"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        begun = [(cell, init) for cell in cells if cell.mean is not None and (init := _init(cell))]
        if len({init for _, init in begun}) < 2:
            raise NoData("fewer than two initialisations have a score on test")
        if {cell.method for cell, _ in begun} <= lines_of_length(cell for cell, _ in begun).keys():
            raise NoData("the methods differ in the length of their prompt too; prompt_length shows both")
        models = list(dict.fromkeys(cell.model for cell, _ in begun))
        methods = sorted({cell.method for cell, _ in begun})
        width = min(9.0, max(4.6, 1.1 * len(models) + 1.5))
        figure = new_canvas(width + LEGEND, 3.6)
        axes = figure.subplots()
        for place, method in enumerate(methods):
            mine = [(cell, init) for cell, init in begun if cell.method == method]
            shift = 0.6 * ((place + 0.5) / len(methods) - 0.5)
            axes.errorbar(
                [models.index(cell.model) + shift for cell, _ in mine],
                [cell.mean or 0.0 for cell, _ in mine],
                yerr=[cell.sd or 0.0 for cell, _ in mine],
                fmt=styles[method].marker,
                color=styles[method].colour,
                markersize=7,
                capsize=2.5,
                elinewidth=1.1,
                label=text.wrap(f"{method} (init: {', '.join(sorted({init for _, init in mine}))})", 30),
            )
        sizes = {cell.model: cell.base_parameters for cell, _ in begun}
        labels = [text.wrap(m, 16) + (f"\n{text.short_count(size)}" if (size := sizes[m]) else "") for m in models]
        slanted: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if len(models) > 4 else {}
        axes.set_xticks(range(len(models)), labels=labels, fontsize="small", **slanted)
        axes.set_xlim(-0.5, len(models) - 0.5)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel(score_on_test(cells[0]))
        axes.set_xlabel("base model, smallest first")
        figure.legend(loc="outside right upper", frameon=False, fontsize="small")
        put_title(figure, self.title(cells), width)
        return figure


def _init(cell: CellResults) -> str | None:
    best = cell.best or cell.runs[0]
    init = best.spec.method_options.get("init")
    return init if isinstance(init, str) else None
