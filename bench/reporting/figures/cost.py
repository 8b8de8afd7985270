"""Score against what it costs: trainable parameters, memory, time; with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, log_scale, panels, put_legend, score_on_test
from bench.runs.objectives import undominated
from bench.runs.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_Cost = Callable[[TrialRecord], float | None]


class Cost(Figure):
    """Score against trainable parameters, memory and training time; the grey stairs are the Pareto front."""

    about: ClassVar[str] = (
        "One point a model and method, larger for larger models. On the stairs no point is both cheaper and better. "
        "What costs nothing (a method that does not train) is a dotted line."
    )
    seen: ClassVar[str] = "{dataset}: {metric} on test against what it costs"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        from matplotlib.lines import Line2D

        tested = [cell for cell in cells if cell.mean is not None and cell.uses_model]
        costs = [(label, cost) for label, cost in _costs(tested) if any(_cost(cell, cost) for cell in tested)]
        if not costs:
            raise NoData("no cell has a score on test and a cost")
        figure, axes = panels(len(costs), self.title(cells), height=3.1)
        sizes = sorted({cell.base_parameters or 0 for cell in tested})
        for panel, (label, cost) in zip(axes, costs, strict=True):
            _draw(panel, tested, cost, styles, sizes)
            panel.set_xlabel(label)
        axes[0].set_ylabel(score_on_test(cells[0]))
        dots = [
            Line2D(
                [],
                [],
                linestyle="",
                marker="o",
                color="0.5",
                markersize=_area(size, sizes) ** 0.5,
                label=text.wrap(f"{name} ({text.short_count(size)})", 30),
            )
            for size, name in sorted({(cell.base_parameters or 0, cell.model) for cell in tested})
        ]
        stairs = Line2D([], [], color="0.6", lw=1.2, label="Pareto front")
        put_legend(figure, [cell.method for cell in tested], styles, [*dots, stairs])
        return figure


def _draw(
    panel: Axes, cells: Sequence[CellResults], cost: _Cost, styles: Mapping[str, Style], sizes: Sequence[int]
) -> None:
    points = []
    for cell in cells:
        assert cell.mean is not None
        value, style = _cost(cell, cost), styles[cell.method]
        if value is None:
            continue
        if value <= 0:
            panel.axhline(cell.mean, color=style.colour, linestyle=":", linewidth=1.2, zorder=1)
            continue
        points.append((value, cell.mean, cell.greater_is_better))
        area = _area(cell.base_parameters or 0, sizes)
        look: dict[str, Any] = {"color": style.colour, "marker": style.marker, "edgecolors": "white"}
        panel.scatter(value, cell.mean, s=area, **look, linewidths=0.6, zorder=3)
    if not points:
        return
    front = undominated([(value, -mean if greater else mean) for value, mean, greater in points])
    across, up = zip(*((points[place][0], points[place][1]) for place in front), strict=True)
    panel.step(across, up, where="post", color="0.6", zorder=2, lw=1.2)
    panel.margins(x=0.1, y=0.1)
    log_scale(panel, "x")
    panel.tick_params(axis="x", labelsize="small")


def _costs(cells: Sequence[CellResults]) -> list[tuple[str, _Cost]]:
    """Return what a score may cost; memory by the first figure that any record has, and that is said."""
    runs = [run for cell in cells for run in cell.measured]
    figure = next((one for one in _MEMORY if any(_peak(one)(run) for run in runs)), "resident_peak_bytes")
    return [
        ("trainable parameters", lambda run: run.parameters.trainable if run.parameters else None),
        (_MEMORY[figure], _peak(figure)),
        ("training time (s)", lambda run: run.seconds.get("train")),
    ]


def _cost(cell: CellResults, cost: _Cost) -> float | None:
    values = [value for run in cell.measured if (value := cost(run)) is not None]
    return fmean(values) if values else None


def _area(size: int, sizes: Sequence[int]) -> float:
    """Return the area of a point in square points, by the logarithm of the model's size."""
    low, high = (math.log(max(end, 1)) for end in (sizes[0], sizes[-1]))
    share = (math.log(max(size, 1)) - low) / (high - low) if high > low else 0.5
    return 28 + 90 * share


def _peak(figure: str) -> _Cost:
    def gib(run: TrialRecord) -> float | None:
        value: int | None = getattr(run.memory.get("train"), figure, None)
        return None if value is None else value / 2**30

    return gib


_MEMORY = {
    "cuda_allocated_peak_bytes": "peak CUDA memory\nallocated in training (GiB)",
    "live_tensor_peak_bytes": "peak live tensors\nin training (GiB)",
    "resident_peak_bytes": "peak resident set\nin training (GiB)",
}
