"""Memory by phase, stacked on what the loaded model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.core.grouping import grouped
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, label_outer, model_title, panels, put_handles

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_PHASES = {"train": "#0072B2", "validate": "#E69F00", "test": "#009E73"}
_KINDS = {
    "cuda_allocated_peak_bytes": "CUDA memory allocated",
    "resident_peak_bytes": "resident set of the process",
}


class Memory(Figure):
    """Peak memory by phase: what the loaded model takes, and what each phase adds on top of it."""

    about: ClassVar[str] = (
        "The grey part is the peak of the phase that loads the model, the coloured part what the phase adds at its "
        "own peak. A resident set contains Python, libraries, and what the allocator kept from earlier trials of the "
        "same worker."
    )

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say which memory."""
        return f"{cells[0].dataset}: peak memory by phase ({_KINDS[_kind(cells)]})"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the cells of one data set and metric."""
        from matplotlib.patches import Patch

        kind = _kind(cells)
        shown = [(cell, _peaks(cell, kind)) for cell in cells if cell.uses_model]
        shown = [(cell, peaks) for cell, peaks in shown if "load" in peaks and len(peaks) > 1]
        models = grouped(shown, lambda member: member[0].model)
        if not models:
            raise NoData("no run has the memory of loading its model and of another phase")
        most = max(map(len, models.values()))
        figure, axes = panels(len(models), self.title(cells), width=4.4, height=0.36 * most + 1.0, columns=2)
        phases = [phase for phase in _PHASES if any(phase in p for members in models.values() for _, p in members)]
        for panel, (model, members) in zip(axes, models.items(), strict=True):
            members = members[::-1]  # the first method on top
            high = 0.8 / len(phases)
            for row, (_, peaks) in enumerate(members):
                for place, phase in enumerate(phases):
                    if phase not in peaks:
                        continue
                    at = row + 0.4 - high * (place + 0.5)
                    load, peak = peaks["load"] / 2**30, peaks[phase] / 2**30
                    panel.barh(at, min(load, peak), height=high * 0.9, color="0.75", linewidth=0)
                    panel.barh(
                        at, max(0.0, peak - load), left=load, height=high * 0.9, color=_PHASES[phase], linewidth=0
                    )
            panel.set_yticks(
                range(len(members)), labels=[text.wrap(c.method, 24) for c, _ in members], fontsize="small"
            )
            panel.grid(axis="y", visible=False)
            panel.set_title(model_title(model, members[0][0].base_parameters), fontsize="medium")
        handles = [Patch(color="0.75", label="loaded model")]
        handles += [Patch(color=_PHASES[phase], label=f"added by: {phase}") for phase in phases]
        put_handles(figure, handles)
        label_outer(axes, "GiB", "")
        return figure


def _kind(cells: Sequence[CellResults]) -> str:
    """Return the first kind of memory that any cell has."""
    return next((kind for kind in _KINDS if any(_peaks(cell, kind) for cell in cells)), "resident_peak_bytes")


def _peaks(cell: CellResults, kind: str) -> dict[str, int]:
    """Return the peak of each phase over the measured runs."""
    peaks: dict[str, int] = {}
    for run in cell.measured:
        for phase, memory in run.memory.items():
            value = getattr(memory, kind)
            if value is not None:
                peaks[phase] = max(value, peaks.get(phase, 0))
    return peaks
