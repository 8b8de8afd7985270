"""The figure that the project exists for: score against size of the base model, one line a method."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from bench.reporting import text
from bench.reporting.axis_labels import label_models
from bench.reporting.cells import CellRuns

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), without the yellow, which is hardly seen on white. Seven colours and eight
# markers have no common divisor: the first 56 methods differ.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

Split = Literal["test", "validation"]


@dataclass(frozen=True)
class Style:
    """How a method looks in every figure of a report."""

    colour: str
    marker: str


def method_styles(methods: Iterable[str]) -> dict[str, Style]:
    """Give each method its colour and marker, by its place in the sorted set of all methods.

    The rule: every figure of a report is drawn with the styles of all its methods, so a method looks
    the same in each, whichever methods a data set lacks. A new method changes the looks of those
    alone that are sorted behind it.
    """
    return {
        method: Style(_COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)])
        for place, method in enumerate(sorted(set(methods)))
    }


@dataclass(frozen=True)
class _Point:
    """One method at one model."""

    cell: CellRuns
    mean: float
    sd: float | None
    seeds: Sequence[float]


def drawable(cells: Sequence[CellRuns]) -> bool:
    """Whether `draw_scale` has anything to draw of these cells."""
    return bool(_points(cells)[1])


def scale_title(cells: Sequence[CellRuns]) -> str:
    """Say what `draw_scale` shows of these cells: data set, metric, split, and against what."""
    split, points = _points(cells)
    models = {point.cell.model: point.cell.base_parameters for point in points if point.cell.base_parameters}
    if not points:
        return f"{cells[0].dataset}: {cells[0].metric}"
    shown = f"{cells[0].dataset}: {cells[0].metric} on {split}"
    if len(models) == 1:
        ((model, size),) = models.items()
        return f"{shown} with {model} ({text.short_count(size or 0)} parameters)"
    return f"{shown} against model size" if models else f"{shown} without a model"


def draw_scale(cells: Sequence[CellRuns], styles: Mapping[str, Style]) -> Figure | None:
    """Draw score against parameters of the base model for the cells of one data set and metric.

    Points are means over seeds, bars one standard deviation to either side, faint points the seeds
    themselves; methods stand a little aside of each other so that no bar hides another. Methods that
    use no model are dashed lines. Where no cell has been tested, validation scores are drawn, and
    title and axis say so.

    Returns:
        The figure, or None if no cell has a score to draw.
    """
    split, points = _points(cells)
    if not points:
        return None
    with _look():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.5, 4.6))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.1, 0.2, 0.86, 0.7))
        on_scale = [point for point in points if point.cell.base_parameters]
        sizes = {point.cell.model: point.cell.base_parameters or 0 for point in on_scale}
        handles = _draw_lines(axes, on_scale, styles)
        handles += _draw_references(axes, [point for point in points if not point.cell.uses_model], styles)
        axes.set_title("\n".join(text.wrap(line, 72) for line in [scale_title(cells)]), loc="left", weight="bold")
        axes.set_ylabel(_score_axis(cells[0], split, points))
        axes.margins(y=0.08)
        axes.grid(axis="x", visible=False)
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.015, 1.0), borderaxespad=0.0, frameon=False)
        label_models(axes, sizes)
    return figure


def render(figure: Figure, form: Literal["png", "svg"]) -> bytes:
    """Return the figure as a file; the same figure gives the same bytes, today and tomorrow."""
    buffer = io.BytesIO()
    plain = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
    with _look():
        figure.savefig(buffer, format=form, dpi=200, bbox_inches="tight", pad_inches=0.15, metadata=plain)
    return buffer.getvalue()


@contextmanager
def _look() -> Iterator[None]:
    """Seaborn's style for as long as we draw; the settings of a notebook around us stay as they are."""
    import matplotlib
    import seaborn

    settings: Any = {  # matplotlib's stubs know the names of settings as literals, seaborn's as any text
        **seaborn.axes_style("whitegrid", {"axes.edgecolor": "0.35", "grid.color": "0.9"}),
        **seaborn.plotting_context("paper", font_scale=1.1),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.family": "DejaVu Sans",  # comes with matplotlib: figures are the same on every machine
        "text.parse_math": False,  # a name is text, also with dollars in it
        "svg.hashsalt": "promptscale",
    }
    with matplotlib.rc_context(settings):
        yield


def _points(cells: Sequence[CellRuns]) -> tuple[Split, list[_Point]]:
    """Return what can be drawn: test scores, or validation scores where no cell has been tested."""
    placed = [cell for cell in cells if cell.base_parameters or not cell.uses_model]
    tested = [_Point(cell, cell.mean, cell.sd, cell.scores) for cell in placed if cell.mean is not None]
    if tested:
        return "test", tested
    return "validation", [
        _Point(cell, cell.best.objective, None, [cell.best.objective])
        for cell in placed
        if cell.best and cell.best.objective is not None
    ]


def _score_axis(cell: CellRuns, split: Split, points: Sequence[_Point]) -> str:
    label = f"{cell.metric} on {split}" + ("" if cell.greater_is_better else " (lower is better)")
    if split == "validation":
        return f"{label} (best trial)"
    seeds = sorted({len(point.seeds) for point in points if point.cell.stochastic})
    if not seeds or seeds[-1] < 2:
        return label
    shown = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"{label}\n(mean ± sd over {shown} seeds)"


def _draw_references(axes: Axes, points: Sequence[_Point], styles: Mapping[str, Style]) -> list[Artist]:
    handles: list[Artist] = []
    for point in points:
        colour = styles[point.cell.method].colour
        label = text.wrap(f"{point.cell.method} (no model)", 30)
        line = axes.axhline(point.mean, color=colour, linestyle="--", linewidth=1.4, label=label, zorder=1.5)
        handles.append(line)
        if point.sd:
            axes.axhspan(point.mean - point.sd, point.mean + point.sd, color=colour, alpha=0.12, linewidth=0)
    return handles


def _draw_lines(axes: Axes, points: Sequence[_Point], styles: Mapping[str, Style]) -> list[Any]:
    sizes = sorted({math.log10(point.cell.base_parameters or 1) for point in points})
    methods: dict[str, list[_Point]] = {}
    for point in points:
        methods.setdefault(point.cell.method, []).append(point)
    low, high = (sizes[0], sizes[-1]) if sizes else (0.0, 0.0)
    margin = 0.5 if high == low else 0.08 * (high - low)
    step = _step(sizes, len(methods))
    handles = []
    axes.set_xscale("log")
    axes.set_xlim(10 ** (low - margin), 10 ** (high + margin))
    # The legend reads as the lines end at the right: best on top.
    for method, line in sorted(methods.items(), key=lambda item: _legend_place(*item)):
        place = sorted(methods).index(method)
        shift = 10 ** (step * (place - (len(methods) - 1) / 2))
        style = styles[method]
        x = [(point.cell.base_parameters or 1) * shift for point in line]
        bars = axes.errorbar(
            x,
            [point.mean for point in line],
            yerr=[math.nan if point.sd is None else point.sd for point in line],
            label=text.wrap(method, 30),
            color=style.colour,
            marker=style.marker,
            markersize=6,
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
