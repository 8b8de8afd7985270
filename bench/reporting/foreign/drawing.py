"""Foreign scores against what each run cost, with the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.reporting import text
from bench.reporting.figures.canvas import (
    FORMS,
    Form,
    figure_style,
    lay_out,
    log_scale,
    panels,
    render,
)
from bench.reporting.figures.fonts import fonts_for
from bench.reporting.foreign.runs import COSTS, ForeignTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pareto_figure(table: ForeignTable) -> dict[Form, bytes]:
    """Return the figure as files: a panel a cost, bars of one standard error over test items, the front named.

    There are none where no run has a score and a cost.
    """
    costs = [cost for cost in COSTS if table.front(cost)]
    if not costs:
        return {}
    title = f"Foreign records ({table.runs[0].source}): {table.title} against cost"
    with figure_style(families=fonts_for([title, *(run.name for run in table.runs)]).families):
        # No legend at the right: the points of the front bear their names.
        canvas, axes = panels(len(costs), title, width=4.2, height=3.6, columns=len(costs))
        for panel, cost in zip(axes, costs, strict=True):
            _draw(panel, table, cost)
        axes[0].set_ylabel(f"{table.runs[0].metric} (one seed)")
        box = lay_out(canvas)
        return {form: render(canvas, form, box=box) for form in FORMS}


def _draw(panel: Axes, table: ForeignTable, cost: str) -> None:
    front = table.front(cost)
    for run in table.scored:
        value = getattr(run, cost)
        if value is None:
            continue
        best = run in front
        panel.errorbar(
            value, run.score or 0.0, yerr=run.error, fmt="o", markersize=6 if best else 3.5, elinewidth=0.8,
            color="#D55E00" if best else "0.55", zorder=3 if best else 2,
        )  # fmt: skip
    for place, run in enumerate(front):
        panel.annotate(
            text.wrap(run.name.split("/")[0], 18), (getattr(run, cost), run.score or 0.0), fontsize="xx-small",
            xytext=(4, -9 if place % 2 else 5), textcoords="offset points",
        )  # fmt: skip
    panel.set_xlabel(f"{COSTS[cost]}, log scale")
    panel.margins(x=0.12, y=0.08)
    log_scale(panel, "x")
