"""What training has cost the model's general ability, against what it has brought."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, PanelAModel
from bench.reporting.figures.canvas import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class RetentionLoss(PanelAModel[tuple[float, float]]):
    """Score on test against the loss in bits per byte on general text: a panel a model, a point a cell."""

    about: ClassVar[str] = (
        "How many more bits a byte of a text that nothing was trained on costs with the method in place than without: "
        "mean over the finals of after minus before. At the dashed line nothing was lost. Bars are one standard "
        "deviation of the score over seeds to either side."
    )
    seen: ClassVar[str] = "{dataset}: {metric} on test against the loss on general text"
    lacking: ClassVar[str] = "no cell has a score and a loss on general text (evaluation: {retention: true})"
    across: ClassVar[str] = "bits per byte lost"

    def _found(self, cell: CellResults) -> tuple[float, float] | None:
        return None if cell.mean is None or cell.retention_loss is None else (cell.retention_loss, cell.mean)

    def _panel(self, axes: Axes, members: Sequence[Member[tuple[float, float]]], styles: Mapping[str, Style]) -> None:
        axes.axvline(0, color="0.6", linestyle="--", linewidth=1)
        for cell, (lost, mean) in members:
            look = styles[cell.method].look | {"linestyle": "none"}
            bar = math.nan if cell.sd is None else cell.sd
            axes.errorbar(lost, mean, yerr=bar, **look, capsize=2.5, elinewidth=1.0)
        axes.margins(x=0.1, y=0.1)
        axes.locator_params(axis="x", nbins=4)
