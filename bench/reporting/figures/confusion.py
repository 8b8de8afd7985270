"""Confusion matrix of the method with the highest mean, and reliability of all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.core.grouping import grouped
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import LEGEND, Style, model_title, new_canvas, put_legend, put_title
from bench.reporting.figures.fonts import fonts_for
from bench.runs.record import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_MOST_LABELS = 20
_MOST_MODELS = 4
"""More rows than that fit on no page; the largest models are shown."""


class Confusion(Figure):
    """Confusion matrix of each model's method with the highest mean, reliability of all; the four largest models."""

    about: ClassVar[str] = (
        "Left, the confusion matrix of a model's method with the highest mean: rows are the true labels, each sums to "
        "100 %, all seeds "
        "together. Right, calibration: the share that is right against the confidence claimed, in ten bins (Guo et "
        "al., 2017); below the diagonal a method claims too much."
    )
    seen: ClassVar[str] = "{dataset}: confusion matrix and calibration on test"

    def words(self, cells: Iterable[CellResults]) -> Iterator[str]:
        """Yield the label words too."""
        yield from super().words(cells)
        for cell in cells:
            yield from (label for answers in _answers(cell)[:1] for label in answers.labels)

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        shown = [cell for cell in cells if cell.uses_model and cell.mean is not None and _answers(cell)]
        models = grouped(shown, lambda cell: cell.model)
        if not models:
            raise NoData("no final has predictions")
        models = dict(list(models.items())[-_MOST_MODELS:])
        words = _answers(next(iter(models.values()))[0])[0].labels
        missing = fonts_for(words)
        labels = (
            [str(n) for n in range(1, len(words) + 1)]
            if missing.missing
            else [text.one_line(word, 16) for word in words]
        )
        side = min(5.0, 1.6 + 0.3 * min(len(words), _MOST_LABELS))
        names = min(1.3, 0.25 + 0.075 * max(map(len, labels)))  # what the words take beside and below the matrix
        width = side + names + 3.6
        note = 0.5 if missing.missing else 0.0
        figure = new_canvas(width + LEGEND, (side + names + 0.9) * len(models) + 0.5 + note)
        grid = figure.subplots(len(models), 2, squeeze=False, width_ratios=[side, min(side, 2.9)])
        for (left, right), (model, members) in zip(grid, models.items(), strict=True):
            best = min(members, key=lambda cell: cell.rank_key)
            _matrix(left, best, labels)
            left.set_anchor("E")  # whatever room is left over stands at the sides, not between the two
            right.set_anchor("W")
            size = members[0].base_parameters
            left.set_title(f"{model_title(model, size)}\nhighest mean: {text.wrap(best.method, 28)}", fontsize="medium")
            _diagram(right, members, styles)
        if missing.missing:
            said = (
                "Labels are numbered in the order of the data set's label words: no installed font has their letters. "
                f"Install {missing.packages} (Debian, Ubuntu) and draw again."
            )
            said = textwrap.fill(said, int((width + LEGEND) * 11), break_on_hyphens=False)
            figure.supxlabel(said, x=0.01, ha="left", fontsize="small")
        put_legend(figure, [cell.method for members in models.values() for cell in members], styles)
        put_title(figure, self.title(cells), width)
        return figure


def _answers(cell: CellResults) -> list[Predictions]:
    return [run.predictions for run in cell.finals if run.status == "ok" and run.predictions and run.predictions.ids]


def _matrix(axes: Axes, cell: CellResults, labels: Sequence[str]) -> None:
    from sklearn.metrics import confusion_matrix

    # Not seaborn's heatmap, which draws the whole figure each time it is called.
    answers = _answers(cell)
    references, predictions = ([i for a in answers for i in getattr(a, of)] for of in ("references", "predictions"))
    labelled = range(len(answers[0].labels))
    percent = 100 * confusion_matrix(references, predictions, labels=labelled, normalize="true")
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    places = range(len(percent))
    labels = labels if len(percent) <= _MOST_LABELS else []
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
    from sklearn.calibration import calibration_curve

    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    for cell in cells:
        answers = [one for one in _answers(cell) if one.confidences]
        claimed = [value for one in answers for value in one.confidences or []]
        right = [r == p for one in answers for r, p in zip(one.references, one.predictions, strict=True)]
        if not claimed:
            continue
        accuracies, confidences = calibration_curve(right, claimed, n_bins=10)
        axes.plot(confidences, accuracies, **styles[cell.method].look, markersize=4.5, linewidth=1.2)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.tick_params(labelsize="x-small")
    axes.set_title("calibration of all methods", fontsize="medium")
    axes.set_xlabel("confidence", fontsize="small")
    axes.set_ylabel("share that is right", fontsize="small")
