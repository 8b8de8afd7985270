"""Number of training examples against score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.core.config import canonical_json
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import (
    Style,
    label_outer,
    log_scale,
    model_title,
    panels,
    put_legend,
    score_line,
    split_word,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


class FewShot(Figure):
    """Number of training examples against score on test: one data set with several values of ``train_size``."""

    about: ClassVar[str] = "Points are means over seeds, bars one standard deviation to either side."

    def groups(self, cells: Sequence[CellResults]) -> dict[str, list[CellResults]]:
        """Join what stands under different labels but is one data set with the same options, cut to different sizes."""
        found: dict[tuple[str, str, str], list[CellResults]] = {}
        for cell in cells:
            dataset = cell.settings.dataset
            others = {key: value for key, value in dataset.options.items() if key != "train_size"}
            found.setdefault((dataset.name, canonical_json(others), cell.metric), []).append(cell)
        if len(found) == 1:
            return {"": list(cells)}
        names = Counter((name, metric) for name, _, metric in found)
        return {
            "-".join([name if names[name, metric] == 1 else group[0].dataset, metric]): group
            for (name, _, metric), group in found.items()
        }

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say data set, by all its labels, and metric."""
        labels = ", ".join(dict.fromkeys(cell.dataset for cell in cells))
        return f"{labels}: {cells[0].metric} on test against the number of training examples"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        known = [(cell, size) for cell in cells if cell.mean is not None and (size := _train_size(cell))]
        if len({size for _, size in known}) < 2:
            raise NoData("no data set was used with two sizes of its training split")
        models: dict[str, list[tuple[CellResults, int]]] = {}
        for cell, size in known:
            models.setdefault(cell.model, []).append((cell, size))
        figure, axes = panels(len(models), self.title(cells))
        for panel, (model, members) in zip(axes, models.items(), strict=True):
            for method in sorted({cell.method for cell, _ in members}):
                line = sorted(
                    ((size, cell) for cell, size in members if cell.method == method), key=lambda item: item[0]
                )
                score_line(panel, line, styles[method])
            log_scale(panel, "x")
            panel.set_title(model_title(model, members[0][0].base_parameters), fontsize="medium")
        put_legend(figure, [cell.method for cell, _ in known], styles)
        score = f"{cells[0].metric} on test{split_word(cells[0].greater_is_better)}"
        label_outer(axes, "training examples (log scale)", score)
        return figure


def _train_size(cell: CellResults) -> int | None:
    size = cell.settings.dataset.options.get("train_size")
    return size if isinstance(size, int) and size > 0 else None
