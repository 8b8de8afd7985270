"""The table written out: CSV for programs, Markdown for readers, rich for the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.records import STATUSES
from bench.reporting import text
from bench.reporting.frame import plain_rows
from bench.reporting.table import CUDA_COLUMNS, best_rows

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Column:
    """A column for people: its heading, and its text for a row of the summary."""

    heading: str
    value: Callable[[_Row], str]
    number: bool = True
    """Numbers stand at the right and are never broken."""
    needs: str | None = None
    """Left out if this column of the summary is not there, or is empty."""


def csv_table(frame: pd.DataFrame) -> str:
    """Write a frame as CSV: all columns, plain numbers, nothing where a value is missing."""
    return str(frame.to_csv(index=False, lineterminator="\n"))


def markdown_table(summary: pd.DataFrame) -> str:
    """Write a summary for people, in Markdown; the best score of a model on a data set is bold."""
    columns = [column for column in _markdown_columns(summary) if _present(column, summary)]
    best = best_rows(summary)
    lines = [
        _markdown_line([text.markdown(column.heading) for column in columns]),
        _markdown_line(["---:" if column.number else "---" for column in columns]),
    ]
    for position, row in enumerate(plain_rows(summary)):
        cells = [text.markdown(column.value(row)) for column in columns]
        if position in best:
            score = next(i for i, column in enumerate(columns) if column.value is _score)
            cells[score] = f"**{cells[score]}**"
        lines.append(_markdown_line(cells))
    return "\n".join(lines) + "\n"


def terminal_table(summary: pd.DataFrame) -> Table:
    """Build the table that a run ends with: what fits into 100 columns of a terminal.

    Data sets and models head the rows of their methods, so that names have room.
    """
    from rich import box
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    # Everything goes in as Text, which rich never reads as markup.
    columns = _terminal_columns(summary)
    rows = plain_rows(summary)
    longest = max((len(row[name]) for row in rows for name in ("model", "method")), default=0) + 4
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(Text("model and method"), overflow="fold", min_width=min(longest, 30))
    for column in columns:
        justify: Literal["right", "left"] = "right" if column.number else "left"
        table.add_column(Text(column.heading), justify=justify, no_wrap=column.number, overflow="fold")
    best = best_rows(summary)
    several = summary["dataset"].nunique() > 1
    dataset = group = ""
    for position, row in enumerate(rows):
        if several and dataset != (dataset := row["dataset"]):
            table.add_row(Text(dataset, style="bold cyan"))
        if group != (group := f"{dataset} {row['model']}"):
            size = row["base_parameters"]
            heading = "no model" if row["model"] == "none" else row["model"]
            table.add_row(Text(heading + (f" ({text.short_count(size)})" if size else ""), style="cyan"))
        style = "bold" if position in best else None
        method = Padding(Text(row["method"]), (0, 0, 0, 2))
        table.add_row(method, *(Text(column.value(row)) for column in columns), style=style)
    return table


def _markdown_columns(summary: pd.DataFrame) -> list[_Column]:
    return [
        *_names(summary),
        _Column("base parameters", lambda row: text.count(row["base_parameters"])),
        _Column(_score_heading(summary), _score),
        _Column("seeds", lambda row: str(row["test_seeds"])),
        _Column("validation (best trial)", lambda row: text.score(row["validation_best"])),
        _Column("best configuration", _params, number=False),
        _Column("trainable parameters", lambda row: text.count(row["trainable_parameters"])),
        _Column("trainable %", lambda row: text.percent(row["trainable_percent"])),
        _Column("saved adapter", lambda row: text.file_size(row["adapter_bytes"])),
        _Column("peak live tensors (train)", lambda row: text.file_size(row["train_peak_live_tensors_bytes"])),
        _Column("peak resident set", lambda row: text.file_size(row["peak_resident_set_bytes"])),
        _Column("CUDA peak allocated (train)", lambda row: text.file_size(row[CUDA_COLUMNS[0]]), needs=CUDA_COLUMNS[0]),
        _Column("CUDA peak reserved (train)", lambda row: text.file_size(row[CUDA_COLUMNS[1]]), needs=CUDA_COLUMNS[1]),
        _Column("train time", lambda row: text.duration(row["train_seconds"])),
        _Column("tokens/s (train)", lambda row: text.count(row["train_tokens_per_second"])),
        _Column("answers that are no label", lambda row: _share(row["non_label_share"]), needs="non_label_share"),
        _Column("runs", _statuses, number=False),
    ]


def _terminal_columns(summary: pd.DataFrame) -> list[_Column]:
    return [
        *_metric(summary),
        _Column(_score_heading(summary).replace(" ", "\n"), _score),
        _Column("seeds", lambda row: str(row["test_seeds"])),
        _Column("trainable", lambda row: text.count(row["trainable_parameters"])),
        _Column("%", lambda row: text.percent(row["trainable_percent"])),
        _Column("peak live\ntensors", lambda row: text.file_size(row["train_peak_live_tensors_bytes"])),
        _Column("train\ntime", lambda row: text.duration(row["train_seconds"])),
        _Column("runs", _statuses, number=False),
    ]


def _names(summary: pd.DataFrame) -> list[_Column]:
    names = [
        _Column("model", lambda row: row["model"], number=False),
        _Column("method", lambda row: row["method"], number=False),
    ]
    if summary["dataset"].nunique() > 1:
        names.insert(0, _Column("data set", lambda row: row["dataset"], number=False))
    return [*names, *_metric(summary)]


def _metric(summary: pd.DataFrame) -> list[_Column]:
    several = summary["metric"].nunique() > 1
    return [_Column("metric", lambda row: row["metric"], number=False)] if several else []


def _score_heading(summary: pd.DataFrame) -> str:
    metrics = summary["metric"].unique()
    return f"{metrics[0] if len(metrics) == 1 else 'score'} (test)"


def _score(row: _Row) -> str:
    mark = " (mixed)" if row["differs"] and row["test_mean"] is not None else ""
    return text.mean_sd(row["test_mean"], row["test_sd"]) + mark


def _share(value: float | None) -> str:
    return text.MISSING if value is None else f"{100 * value:.0f} %"


def _params(row: _Row) -> str:
    if row["best_params"] is None:
        return text.MISSING
    return params_text(json.loads(row["best_params"]))


def params_text(params: Mapping[str, Any]) -> str:
    """Write a configuration in one line: ``learning_rate 0.00312, rank 8``."""
    parts = (f"{key} {text.significant(value) if isinstance(value, float) else value}" for key, value in params.items())
    return ", ".join(parts) or "defaults"


def _statuses(row: _Row) -> str:
    counts = ((status, row[f"runs_{status}"]) for status in STATUSES)
    return ", ".join(f"{number} {status}" for status, number in counts if number)


def _present(column: _Column, summary: pd.DataFrame) -> bool:
    return column.needs is None or (column.needs in summary and bool(summary[column.needs].notna().any()))


def _markdown_line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
