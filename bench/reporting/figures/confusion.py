"""Confusion matrix of the best method, and reliability of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import LEGEND, Style, model_title, new_canvas, put_legend, put_title
from bench.reporting.statistics.reliability import reliability
from bench.runs.record import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_MOST_LABELS = 20
_MOST_MODELS = 4
"""More rows than that fit on no page; the largest models are shown."""


class Confusion(Figure):
    """Confusion matrix of each model's best method, and reliability of all its methods; the four largest models."""

    about: ClassVar[str] = (
        "Left: rows are the true labels, each sums to 100 %, all seeds together. Right: the share that is right "
        "against the confidence claimed, in ten bins (Guo et al., 2017); below the diagonal a method claims too much."
    )

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say the data set."""
        return f"{cells[0].dataset}: what is taken for what on test, and how far confidence can be believed"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        models: dict[str, list[CellResults]] = {}
        for cell in cells:
            if cell.uses_model and cell.mean is not None and _answers(cell):
                models.setdefault(cell.model, []).append(cell)
        if not models:
            raise NoData("no final has predictions")
        models = dict(list(models.items())[-_MOST_MODELS:])
        labels = len(_answers(next(iter(models.values()))[0])[0].labels)
        side = min(6.5, 2.0 + 0.34 * min(labels, _MOST_LABELS))
        width = side + 4.6
        figure = new_canvas(width + LEGEND, (side + 0.5) * len(models) + 0.5)
        grid = figure.subplots(len(models), 2, squeeze=False, width_ratios=[side + 1.0, 3.4])
        for (left, right), (model, members) in zip(grid, models.items(), strict=True):
            best = min(members, key=lambda cell: cell.rank_key)
            _matrix(left, best)
            size = members[0].base_parameters
            left.set_title(f"{model_title(model, size)}\n{text.wrap(best.method, 34)}", fontsize="medium")
            _diagram(right, members, styles)
        put_legend(figure, [cell.method for members in models.values() for cell in members], styles)
        put_title(figure, self.title(cells), width)
        return figure


def _answers(cell: CellResults) -> list[Predictions]:
    return [run.predictions for run in cell.finals if run.status == "ok" and run.predictions and run.predictions.ids]


def confusion(answers: Sequence[Predictions]) -> NDArray[np.float64]:
    """Return the shares [true label, predicted label]; a row sums to 1, or is zero where a label has no item."""
    size = len(answers[0].labels)
    counts = np.zeros((size, size))
    for one in answers:
        np.add.at(counts, (one.references, one.predictions), 1)
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _matrix(axes: Axes, cell: CellResults) -> None:
    # Not seaborn's heatmap, which draws the whole figure each time it is called.
    answers = _answers(cell)
    percent = 100 * confusion(answers)
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    places = range(len(percent))
    few = len(percent) <= _MOST_LABELS
    labels = [text.one_line(label, 16) for label in answers[0].labels] if few else []
    axes.set_xticks(
        places[: len(labels)], labels=labels, rotation=40, ha="right", rotation_mode="anchor", fontsize="x-small"
    )
    axes.set_yticks(places[: len(labels)], labels=labels, fontsize="x-small")
    if len(percent) <= 10:
        for row in places:
            for column in places:
                share = percent[row, column]
                colour = "white" if share > 55 else "0.2"
                axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize="x-small", color=colour)
    axes.grid(visible=False)
    axes.set_xlabel("predicted", fontsize="small")
    axes.set_ylabel("true (% of row)", fontsize="small")


def _diagram(axes: Axes, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> None:
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    for cell in cells:
        answers = [one for one in _answers(cell) if one.confidences]
        claimed = [value for one in answers for value in one.confidences or []]
        right = [r == p for one in answers for r, p in zip(one.references, one.predictions, strict=True)]
        if not claimed:
            continue
        bins, _ = reliability(claimed, right)
        style = styles[cell.method]
        axes.plot(
            [one.confidence for one in bins],
            [one.accuracy for one in bins],
            color=style.colour,
            marker=style.marker,
            markersize=4.5,
            linewidth=1.2,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.tick_params(labelsize="x-small")
    axes.set_xlabel("confidence", fontsize="small")
    axes.set_ylabel("share that is right", fontsize="small")
