"""What training has cost the model's general ability, against what it has brought."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, label_outer, model_title, panels, put_legend, split_word

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


class RetentionLoss(Figure):
    """Score on test against the loss in bits per byte on general text: a panel a model, a point a cell."""

    about: ClassVar[str] = (
        "How many more bits a byte of a text that nothing was trained on costs with the method in place than without: "
        "mean over the finals of after minus before. At the dashed line nothing was lost. Bars are one standard "
        "deviation of the score over seeds to either side."
    )

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say data set and metric."""
        return f"{cells[0].dataset}: {cells[0].metric} on test against the loss on general text"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        models: dict[str, list[CellResults]] = {}
        for cell in cells:
            if cell.mean is not None and cell.retention_loss is not None:
                models.setdefault(cell.model, []).append(cell)
        if not models:
            raise NoData("no cell has a score and a loss on general text (evaluation: {retention: true})")
        figure, axes = panels(len(models), self.title(cells))
        for panel, (model, members) in zip(axes, models.items(), strict=True):
            panel.axvline(0, color="0.6", linestyle="--", linewidth=1)
            for cell in members:
                style = styles[cell.method]
                panel.errorbar(
                    [cell.retention_loss or 0.0], [cell.mean or 0.0], yerr=[math.nan if cell.sd is None else cell.sd],
                    color=style.colour, marker=style.marker, linestyle="none", capsize=2.5, elinewidth=1.0,
                )  # fmt: skip
            panel.margins(x=0.1, y=0.1)
            panel.locator_params(axis="x", nbins=4)
            panel.set_title(model_title(model, members[0].base_parameters), fontsize="medium")
        better = split_word(cells[0].greater_is_better)
        label_outer(axes, "bits per byte lost", f"{cells[0].metric} on test{better}")
        put_legend(figure, [cell.method for members in models.values() for cell in members], styles)
        return figure
