"""The figure that the project exists for: score against size of the base model, one line a method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.core.grouping import grouped
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.axis_labels import label_models
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, new_canvas, score_on_test, score_on_validation
from bench.reporting.figures.reference_scores import draw_references, reference_sizes
from bench.reporting.references import References
from bench.reporting.terms import unequal_names

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Split = Literal["test", "validation"]


LADDERS: dict[str | None, str] = {
    "causal": "decoders",
    "seq2seq": "encoder-decoders",
    "encoder": "encoders with a head",
}
"""What the panels are called, by `CellResults.network`: models of one kind make a ladder of sizes, two kinds do not."""


class Scale(Figure):
    """Score against parameters of the base model, one line a method: the figure of Lester et al. (2021), figure 1."""

    references: tuple[References, ...] = ()
    """Scores of others to stand beside ours, grey (``bench plot scale --references FILE``, docs/results.md)."""

    about: ClassVar[str] = (
        "Points are means over seeds, bars one standard deviation to either side, shades the 95 % interval of the "
        "mean where there are three seeds or more, faint points the seeds. Methods stand a little aside of each other."
    )

    def words(self, cells: Iterable[CellResults]) -> Iterator[str]:
        """Yield the names of what stands beside ours too."""
        yield from super().words(cells)
        for one in self.references:
            yield from (one.source, *(word for score in one.scores for word in (score.method, score.model)))

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say data set, metric, split, and against what."""
        split, points = _points(cells)
        models = {point.cell.model: point.cell.base_parameters for point in points if point.cell.base_parameters}
        if not points:
            return f"{cells[0].dataset}: {cells[0].metric}"
        metric = cells[0].metric if split == "test" else cells[0].settings.objective
        shown = f"{cells[0].dataset}: {metric} on {split}"
        if len(models) == 1:
            ((model, size),) = models.items()
            return f"{shown} with {model} ({text.short_count(size or 0)} parameters)"
        return f"{shown} against model size" if models else f"{shown} without a model"

    def alt(self, cells: Sequence[CellResults]) -> str:
        """List the means of each model, smallest first, and of what needs none."""
        models = grouped(_points(cells)[1], lambda point: point.cell.model)
        said = (
            f"{model}: {', '.join(f'{one.cell.method} {text.score(one.mean)}' for one in points)}"
            for model, points in models.items()
        )
        return f"{self.title(cells)}. {'; '.join(said)}."

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric.

        Methods that use no model are level dotted lines. Decoders and encoders have a panel each. Where no cell has
        been tested, validation scores are drawn, and title and axis say so.
        """
        split, points = _points(cells)
        if not points:
            raise NoData("no cell has a score")
        references = [one for one in self.references if split == "test" and one.of(cells)]
        ladders = _ladders([point for point in points if point.cell.base_parameters])
        figure, panels = _panels(len(ladders))
        handles: dict[str, Any] = {}
        for axes, (network, ladder) in zip(panels, ladders.items(), strict=True):
            sizes = {point.cell.model: point.cell.base_parameters or 0 for point in ladder}
            sizes = reference_sizes(references, network) | sizes
            drawn = _draw_lines(axes, ladder, styles, list(sizes.values()))
            drawn += _draw_references(axes, [point for point in points if not point.cell.uses_model], styles)
            axes.margins(y=0.08)
            drawn += draw_references(axes, references, network)
            handles |= {handle.get_label(): handle for handle in drawn if handle.get_label() not in handles}
            low, high = axes.get_ylim()  # shared by all panels
            _shade(axes, ladder, styles)
            axes.set_ylim(low, high)  # an interval that is wider than all scores does not flatten them
            axes.grid(axis="x", visible=False)
            if len(ladders) > 1:
                axes.set_title(LADDERS.get(network, "other models"), loc="left", fontsize="medium")
        for axes, (network, ladder) in zip(panels, ladders.items(), strict=True):
            ours = {point.cell.model: point.cell.base_parameters or 0 for point in ladder}
            label_models(axes, reference_sizes(references, network) | ours)
        lowest = max(axes.xaxis.labelpad for axes in panels)
        for axes in panels:
            axes.xaxis.labelpad = lowest
        first, last = panels[0], panels[-1]
        title = text.wrap(self.title(cells), 72)
        if len(ladders) > 1:
            figure.suptitle(title, x=first.get_position().x0, y=0.99, ha="left", weight="bold")
        else:
            first.set_title(title, loc="left", weight="bold")
        first.set_ylabel(_score_axis(cells[0], split, points))
        last.legend(
            handles=list(handles.values()),
            loc="upper left",
            bbox_to_anchor=(1.015, 1.0),
            borderaxespad=0.0,
            frameon=False,
            handlelength=3,
        )
        if names := unequal_names(cells):
            note = text.wrap(f"Not on equal terms: {names}.", 90)
            first.set_xlabel(f"{first.get_xlabel()}\n{note}")
        return figure


@dataclass(frozen=True)
class _Point:
    """One method at one model."""

    cell: CellResults
    mean: float
    sd: float | None
    seeds: Sequence[float]


def drawable(cells: Sequence[CellResults]) -> bool:
    """Whether the figure has anything to draw of these cells."""
    return bool(_points(cells)[1])


def _ladders(points: Sequence[_Point]) -> dict[str | None, list[_Point]]:
    """Return the points by what their model is; all of them together where no two are known to differ."""
    found = grouped(points, lambda point: point.cell.network)
    known = {network: found[network] for network in LADDERS if network in found}
    return known | found if len(known) > 1 else {None: list(points)}


def _panels(number: int) -> tuple[Canvas, list[Axes]]:
    """Return a figure of panels side by side, with one score axis."""
    if number == 1:
        figure = new_canvas(7.5, 4.6, constrained=False)
        return figure, [figure.add_axes((0.1, 0.2, 0.86, 0.7))]
    figure = new_canvas(4.6 * number, 4.8, constrained=False)
    each = 0.92 / number
    panels: list[Axes] = []
    for place in range(number):
        where = (0.07 + each * place, 0.2, each - 0.06, 0.66)
        panels.append(figure.add_axes(where, sharey=panels[0] if panels else None))
        panels[-1].tick_params(labelleft=not place)
    return figure, panels


def _points(cells: Sequence[CellResults]) -> tuple[Split, list[_Point]]:
    """Return what can be drawn: test scores, or validation scores where no cell has been tested."""
    placed = [cell for cell in cells if cell.base_parameters or not cell.uses_model]
    tested = [_Point(cell, cell.mean, cell.sd, cell.scores) for cell in placed if cell.mean is not None]
    if tested:
        return "test", tested
    return "validation", [
        _Point(cell, cell.validation_best, None, [cell.validation_best])
        for cell in placed
        if cell.validation_best is not None
    ]


def _score_axis(cell: CellResults, split: Split, points: Sequence[_Point]) -> str:
    if split == "validation":
        return f"{score_on_validation(cell)} (best trial)"
    label = score_on_test(cell)
    seeds = sorted({len(point.seeds) for point in points if point.cell.stochastic})
    if not seeds or seeds[-1] < 2:
        return label
    shown = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"{label}\n(mean ± sd over {shown} {'folds' if cell.folds else 'seeds'})"


def _draw_references(axes: Axes, points: Sequence[_Point], styles: Mapping[str, Style]) -> list[Artist]:
    handles: list[Artist] = []
    for point in points:
        style = styles[point.cell.method]
        colour = style.colour
        handles += axes.plot(
            [0, 1],
            [point.mean] * 2,
            color=colour,
            marker=style.marker,
            linestyle=":",
            linewidth=1.6,
            label=text.wrap(f"{point.cell.method} (no model)", 30),
            transform=axes.get_yaxis_transform(),
            clip_on=False,
            zorder=1.5,
        )
        if point.sd:
            axes.axhspan(point.mean - point.sd, point.mean + point.sd, color=colour, alpha=0.12, linewidth=0)
    return handles


def _shade(axes: Axes, points: Sequence[_Point], styles: Mapping[str, Style]) -> None:
    """Shade the interval of the mean along each method's line."""
    for method, line, shift in _lines(points):
        known = [point.cell.interval for point in line]
        if sum(one is not None for one in known) > 1:
            across = [(point.cell.base_parameters or 1) * shift for point in line]
            # Nothing is shaded across a point of which nothing is known.
            lows = [one.low if one else math.nan for one in known]
            highs = [one.high if one else math.nan for one in known]
            axes.fill_between(across, lows, highs, color=styles[method].colour, alpha=0.12, linewidth=0, zorder=1)


def _lines(points: Sequence[_Point]) -> list[tuple[str, list[_Point], float]]:
    """Return each method's points, and the factor by which they stand aside."""
    sizes = sorted({math.log10(point.cell.base_parameters or 1) for point in points})
    methods = grouped(points, lambda point: point.cell.method)
    step = _step(sizes, len(methods))
    middle = (len(methods) - 1) / 2
    return [(method, methods[method], 10 ** (step * (place - middle))) for place, method in enumerate(sorted(methods))]


def _draw_lines(axes: Axes, points: Sequence[_Point], styles: Mapping[str, Style], ends: Sequence[int]) -> list[Any]:
    low, high = (math.log10(min(ends)), math.log10(max(ends))) if ends else (0.0, 0.0)
    margin = 0.5 if high == low else 0.08 * (high - low)
    handles = []
    axes.set_xscale("log")
    axes.set_xlim(10 ** (low - margin), 10 ** (high + margin))
    # The legend reads as the lines end at the right: best on top.
    for method, line, shift in sorted(_lines(points), key=lambda item: _legend_place(*item[:2])):
        style = styles[method]
        x = [(point.cell.base_parameters or 1) * shift for point in line]
        bars = axes.errorbar(
            x,
            [point.mean for point in line],
            yerr=[math.nan if point.sd is None else point.sd for point in line],
            label=text.wrap(method, 30),
            **style.look,
            markersize=6.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            linewidth=1.6,
            elinewidth=1.1,
            capsize=2.5,
            zorder=3,
        )
        handles.append(bars)
        faint = [(at, seed) for at, point in zip(x, line, strict=True) for seed in point.seeds if len(point.seeds) > 1]
        if faint:
            across, up = zip(*faint, strict=True)
            axes.scatter(across, up, s=7, color=style.colour, alpha=0.35, linewidths=0, zorder=2.5)
    return handles


def _step(sizes: Sequence[float], methods: int) -> float:
    """How far the methods stand from each other, in powers of ten.

    One size has the whole width for its methods side by side. Several only keep their bars apart, and
    stay nearer to their own size than to the next.
    """
    if len(sizes) < 2:
        return 0.8 / max(methods, 1)
    nearest = min(right - left for left, right in pairwise(sizes))
    return min(0.011 * (sizes[-1] - sizes[0]), 0.6 * nearest / methods)


def _legend_place(method: str, line: Sequence[_Point]) -> tuple[float, float, str]:
    last = line[-1]
    sign = -1 if last.cell.greater_is_better else 1
    return (-(last.cell.base_parameters or 0), sign * last.mean, method)
