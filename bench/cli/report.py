"""``bench report``: tables and figures again, and what a run ends with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bench.reporting import collect, terminal_table, write_report
from bench.reporting.table import summarise_cells


def draw_report(results: Sequence[Path], out: Path, metric: str | None = None) -> None:
    """Write the report, show its table, and say where it is; ``metric`` is the one on test that it is about."""
    console = Console()
    found = collect(results, metric)
    summary = summarise_cells(found.cells)
    page = write_report(found, out, summary)
    console.print(terminal_table(summary, console.width))
    console.print(f"report: {escape(str(page))}", soft_wrap=True)
