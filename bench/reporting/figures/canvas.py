"""What all figures share: seaborn's style, a colour, line and marker a method, room for every word."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

from bench.reporting import text
from bench.reporting.figures.fonts import BASE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.transforms import Bbox

    from bench.reporting.cells import CellResults

Line = Literal["-", "--", ":", "-."]
# The six of Petroff (2021, arXiv:2107.02270), found by a search for colours that readers with any colour vision tell
# apart, with black for the grey, which in our figures is no method. Six are as many as stay far apart: the next six
# methods have the same in dashed lines with other markers. 24 colours with lines, and 7 markers: 168 methods differ.
_COLOURS = ("#5790fc", "#f89c20", "#e42536", "#000000", "#7a21dd", "#964a8b")
_LINES: tuple[Line, ...] = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

StyleName = Literal["paper", "slides"]
Form = Literal["png", "svg"]
FORMS: tuple[Form, ...] = get_args(Form)
STYLES: tuple[StyleName, ...] = get_args(StyleName)
_FONTS = {"paper": 1.1, "slides": 1.6}


@dataclass(frozen=True)
class Style:
    """How a method looks in every figure of a report."""

    colour: str
    marker: str
    line: Line = "-"

    @property
    def look(self) -> dict[str, Any]:
        """The same as matplotlib's ``plot`` and ``errorbar`` take it."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line}


def method_styles(methods: Iterable[str]) -> dict[str, Style]:
    """Give each method its colour, line and marker, by its place in the sorted set of all methods.

    The rule: every figure of a report is drawn with the styles of all its methods, so a method looks
    the same in each, whichever methods a data set lacks. A new method changes the styles of those
    alone that are sorted behind it.
    """
    return {
        method: Style(
            _COLOURS[place % len(_COLOURS)],
            _MARKERS[place % len(_MARKERS)],
            _LINES[place // len(_COLOURS) % len(_LINES)],
        )
        for place, method in enumerate(sorted(set(methods)))
    }


@contextmanager
def figure_style(style: StyleName = "paper", families: Sequence[str] = (BASE,)) -> Iterator[None]:
    """Seaborn's style for as long as we draw; the settings of a notebook around us stay as they are."""
    import matplotlib
    import seaborn

    settings: Any = {  # matplotlib's stubs know the names of settings as literals, seaborn's as any text
        **seaborn.axes_style("whitegrid", {"axes.edgecolor": "0.35", "grid.color": "0.9"}),
        **seaborn.plotting_context("paper", font_scale=_FONTS[style]),
        "axes.titley": 1.0,  # as ever, but not looked for at each drawing, which takes a sixth of it
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.family": list(families),
        "text.parse_math": False,  # a name is text, also with dollars in it
        "svg.hashsalt": "promptscale",
    }
    with matplotlib.rc_context(settings):
        yield


def scale() -> float:
    """Return how much larger than on paper text is now; inches grow with it."""
    import matplotlib

    return float(matplotlib.rcParams["font.size"]) / (9.6 * _FONTS["paper"])


_DPI = 200
_PAD = 0.15
"""Inches around a figure in its file."""


def render(canvas: Canvas, form: Form, style: StyleName = "paper", box: Bbox | None = None) -> bytes:
    """Return the figure as a file; the same figure gives the same bytes, today and tomorrow.

    Only ``box`` is shown, as `lay_out` has found it; without it the figure is drawn once more to see.
    """
    buffer = io.BytesIO()
    plain = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
    with figure_style(style):
        canvas.savefig(
            buffer,
            format=form,
            dpi=_DPI,
            bbox_inches="tight" if box is None else box,
            pad_inches=_PAD,
            metadata=plain,
        )
    return buffer.getvalue()


def new_canvas(width: float, height: float, constrained: bool = True) -> Canvas:
    """Return an empty figure of so many inches (on paper); it is no figure of pyplot's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    factor = scale()
    # Laid out in the pixels of its file: in others the same text has another width.
    size = (width * factor, height * factor)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained" if constrained else None)
    FigureCanvasAgg(figure)
    if constrained:
        figure.get_layout_engine().set(w_pad=0.09, h_pad=0.09, hspace=0.03, wspace=0.03)  # type: ignore[union-attr, call-arg]
    return figure


MANY_POINTS = 150
"""More points than that are pixels in an SVG, which would else be tens of megabytes."""
LEGEND = 2.4
"""Inches (on paper) at the right that the legend may take."""


def lay_out(canvas: Canvas) -> Bbox:
    """Lay a figure out once and for all: otherwise each file that is made of it lays it out again, which is slow.

    Returns:
        All that is drawn, and a little more, in inches.
    """
    engine = canvas.get_layout_engine()
    if engine is not None:
        engine.execute(canvas)
        canvas.set_layout_engine("none")
    return canvas.get_tightbbox().padded(_PAD)


def put_note(canvas: Canvas, box: Bbox, note: str) -> Bbox:
    """Put a sentence below all that was laid out, and return what there is to see now, in inches."""
    width, height = canvas.get_size_inches()
    lines = textwrap.fill(note, max(40, int(box.width / scale() * 11)), break_on_hyphens=False)
    canvas.text((box.x0 + _PAD) / width, box.y0 / height, lines, va="top", fontsize="small")
    return canvas.get_tightbbox().padded(_PAD)


def panels(
    count: int, title: str, width: float = 3.1, height: float = 2.7, columns: int = 2, sharey: bool = False
) -> tuple[Canvas, list[Axes]]:
    """Return a figure of panels in rows, under one title, with room for a legend at the right."""
    across = min(columns, count)
    down = math.ceil(count / across)
    wide = max(width * across, 4.2)
    figure = new_canvas(wide + LEGEND, height * down + 0.5)
    axes = list(figure.subplots(down, across, squeeze=False, sharey=sharey).flat)
    for empty in axes[count:]:
        empty.set_axis_off()
    put_title(figure, title, wide)
    return figure, axes[:count]


def label_outer(axes: Sequence[Axes], x: str, y: str) -> None:
    """Label the panels at the left and those with none below them."""
    places = [panel.get_subplotspec() for panel in axes]
    lowest = {place.colspan.start: place.rowspan.start for place in places if place}
    for panel, place in zip(axes, places, strict=True):
        if place and place.rowspan.start == lowest[place.colspan.start]:
            panel.set_xlabel(x)
        if place and place.colspan.start == 0:
            panel.set_ylabel(y)


def put_title(figure: Canvas, title: str, width: float) -> None:
    """Put a title over the whole figure, broken into lines that fit into so many inches (on paper)."""
    figure.suptitle(text.wrap(title, max(24, int(width * 9.3))), x=0.01, ha="left", weight="bold")


def score_line(axes: Axes, points: Iterable[tuple[float, CellResults]], style: Style) -> None:
    """Draw cells at their places as a line through their means, with one standard deviation to either side."""
    line = sorted(points, key=itemgetter(0))
    axes.errorbar(
        [place for place, _ in line],
        [cell.mean or 0.0 for _, cell in line],
        yerr=[cell.sd or 0.0 for _, cell in line],
        **style.look,
        capsize=2.5,
        elinewidth=1.0,
    )


def log_scale(axes: Axes, axis: Literal["x", "y"], most: int | None = None) -> None:
    """Make an axis logarithmic, with plain numbers at two ticks or more, as many as labels have room for."""
    (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    (axes.xaxis if axis == "x" else axes.yaxis).minorticks_off()
    if low > 0:
        ticks = log_ticks(low, high, most=most or (4 if axis == "x" else 6))
        labels = [text.short_count(tick) if tick >= 1000 else f"{tick:g}" for tick in ticks]
        if len(set(labels)) < len(labels):
            labels = [f"{tick:,.6g}" for tick in ticks]
        (axes.set_xticks if axis == "x" else axes.set_yticks)(ticks, labels=labels)


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return two or more places on a logarithmic axis: the powers of ten, parts of them, or else any round numbers."""
    from matplotlib.ticker import MaxNLocator

    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for step, parts in ((1, (1, 2, 5)), (1, (1, 3)), *((step, (1,)) for step in range(1, last - first + 1))):
        ticks = [part * 10.0**power for power in range(first, last + 1, step) for part in parts]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if 2 <= len(ticks) <= most:
            return ticks
    for bins in range(2, most + 1):  # an end of the range may lie a rounding error outside of it
        ticks = [float(tick) for tick in MaxNLocator(nbins=bins).tick_values(low, high) if low <= tick <= high]
        if len(ticks) > 1:
            break
    return ticks


def put_handles(figure: Canvas, handles: Sequence[Any], **how: Any) -> None:
    """Put a legend at the right of all panels."""
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize="small", **how)


def put_legend(figure: Canvas, methods: Iterable[str], styles: Mapping[str, Style], others: Sequence[Any] = ()) -> None:
    """Put the methods, by colour, line and marker, at the right of all panels; further handles below them."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **styles[method].look, label=text.wrap(method, 30)) for method in sorted(set(methods))]
    put_handles(figure, [*handles, *others], handlelength=3)


def model_lines(cells: Iterable[CellResults]) -> dict[str, Style]:
    """Give each model of some cells its colour, darker for smaller ones, and marker: for a line a model."""
    import seaborn

    models = list(dict.fromkeys(cell.model for cell in cells if cell.uses_model))
    colours = seaborn.color_palette("viridis", len(models) + 1).as_hex()[:-1]
    return {
        model: Style(colour, _MARKERS[place % len(_MARKERS)])
        for place, (model, colour) in enumerate(zip(models, colours, strict=True))
    }


def model_legend(figure: Canvas, cells: Iterable[CellResults], lines: Mapping[str, Style]) -> None:
    """Put the models of some cells, with their sizes, at the right of all panels, in the order of the lines."""
    from matplotlib.lines import Line2D

    sizes = {cell.model: f" ({text.short_count(size)})" if (size := cell.base_parameters) else "" for cell in cells}
    shown = [(line, model + sizes[model]) for model, line in lines.items() if model in sizes]
    put_handles(figure, [Line2D([], [], **line.look, label=text.wrap(label, 30)) for line, label in shown])


def model_title(model: str, size: int | None) -> str:
    """Name a panel after its model, in lines that fit."""
    return text.wrap(model, 30) + (f"\n({text.short_count(size)} parameters)" if size else "")


def split_word(greater_is_better: bool) -> str:
    """Say which way is better, where it is not up."""
    return "" if greater_is_better else " (lower is better)"


def score_on_test(cell: CellResults) -> str:
    """Return the label of an axis of scores on test."""
    return f"{cell.metric} on test{split_word(cell.greater_is_better)}"


def score_on_validation(cell: CellResults) -> str:
    """Return the label of an axis of scores on validation."""
    return f"{cell.settings.objective} on validation{split_word(cell.settings.greater_is_better)}"


def whole_numbers(axes: Axes) -> None:
    """Label the x axis by whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
