"""Tables, figures and reports, drawn from stored records alone: no torch, no network.

Nothing heavy is imported before a name is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.reporting.folders import Results, collect
    from bench.reporting.frame import load_results
    from bench.reporting.report import write_report
    from bench.reporting.table import summarise
    from bench.reporting.writers import csv_table, markdown_table, terminal_table

__all__ = [
    "Results",
    "collect",
    "csv_table",
    "load_results",
    "markdown_table",
    "summarise",
    "terminal_table",
    "write_report",
]

_HOMES = {
    "Results": "folders",
    "collect": "folders",
    "csv_table": "writers",
    "load_results": "frame",
    "markdown_table": "writers",
    "summarise": "table",
    "terminal_table": "writers",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
