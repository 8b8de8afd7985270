"""Number of training examples against score."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.config import canonical_json
from bench.core.grouping import grouped
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Member, NoData, PanelAModel
from bench.reporting.figures.canvas import Style, log_scale, score_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


class FewShot(PanelAModel[int]):
    """Number of training examples against score on test: one data set with several values of ``train_size``."""

    about: ClassVar[str] = "Points are means over seeds, bars one standard deviation to either side."
    lacking: ClassVar[str] = "no data set was used with two sizes of its training split"
    across: ClassVar[str] = "training examples (log scale)"

    def groups(self, cells: Sequence[CellResults]) -> dict[str, list[CellResults]]:
        """Join what stands under different labels but is one data set with the same options, cut to different sizes."""

        def key(cell: CellResults) -> tuple[str, str, str]:
            dataset = cell.settings.dataset
            others = {key: value for key, value in dataset.options.items() if key != "train_size"}
            return dataset.name, canonical_json(others), cell.metric

        found = grouped(cells, key)
        if len(found) == 1:
            return {"": list(cells)}
        names = Counter((name, metric) for name, _, metric in found)
        return {
            "-".join([name if names[name, metric] == 1 else group[0].dataset, metric]): group
            for (name, _, metric), group in found.items()
        }

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say data set, by all its labels, and metric."""
        ordered = sorted(cells, key=lambda cell: cell.settings.dataset.options.get("train_size") or math.inf)
        labels = ", ".join(dict.fromkeys(cell.dataset for cell in ordered))
        return f"{labels}: {cells[0].metric} on test against the number of training examples"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric, if they were trained on different numbers of examples."""
        if len(set(filter(None, map(self._found, cells)))) < 2:
            raise NoData(self.lacking)
        return super().draw(cells, styles)

    def _found(self, cell: CellResults) -> int | None:
        size = cell.settings.dataset.options.get("train_size")
        return size if isinstance(size, int) and cell.mean is not None else None

    def _panels(self, members: Sequence[Member[int]]) -> dict[str, list[Member[int]]]:
        """Put the methods that use no model into the panel of each model."""
        others = [member for member in members if not member[0].settings.model]
        models = super()._panels([member for member in members if member[0].settings.model])
        return {name: [*of, *others] for name, of in models.items()} or super()._panels(others)

    def _size(self, panels: Mapping[str, Sequence[Member[int]]]) -> dict[str, Any]:
        return {"sharey": True}

    def _panel(self, axes: Axes, members: Sequence[Member[int]], styles: Mapping[str, Style]) -> None:
        for method in sorted({cell.method for cell, _ in members}):
            score_line(axes, [(size, cell) for cell, size in members if cell.method == method], styles[method])
        log_scale(axes, "x")
