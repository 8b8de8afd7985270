"""``bench report``: tables and figures again, and what a run ends with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.reporting.folders import collect
from bench.reporting.references import read_references, with_references
from bench.reporting.report import write_report
from bench.reporting.superseded import told
from bench.reporting.table import summarise_cells
from bench.reporting.writers import terminal_table


def draw_report(results: Sequence[Path], out: Path, metric: str | None = None, references: Path | None = None) -> None:
    """Write the report, show its table, and say where it is.

    Args:
        results: folders.
        out: where to write.
        metric: the one on test that it is about.
        references: a file of scores that are to stand beside ours.
    """
    console = Console()
    found = collect(results, metric)
    others = read_references(references, found.cells) if references else ()
    summary = with_references(summarise_cells(found.cells), others)
    page = write_report(found, out, summary, others)
    console.print(terminal_table(summary, console.width))
    for line in told(found.superseded):
        print(line)
    if found.unreadable:
        left_out = "\n  ".join(found.unreadable)
        print(f"left out, for these are no whole records:\n  {left_out}", file=sys.stderr)
    print(f"report: {page}")
