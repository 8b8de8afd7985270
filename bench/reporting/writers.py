"""The table written out: CSV for programs, Markdown and LaTeX for readers, rich for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import pandas as pd
from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.core.errors import BadInput
from bench.core.files import write_atomic
from bench.reporting import text
from bench.reporting.columns import (
    EARLIER,
    SHARED,
    WITHIN,
    Column,
    SummaryRow,
    all_columns,
    metric_columns,
    repeats,
    score,
    score_heading,
    statuses,
    timed,
)
from bench.reporting.frame import plain_rows
from bench.reporting.references import MARK
from bench.reporting.statistics.intervals import MIN_SEEDS
from bench.reporting.statistics.paired import MIN_ITEMS

_Marks = tuple[str, str]


def csv_table(frame: pd.DataFrame) -> str:
    """Write a frame as CSV: all columns, plain numbers, nothing where a value is missing."""
    return frame.to_csv(index=False, lineterminator="\n")


def write_files(out: Path, files: Iterable[tuple[str, bytes]], otherwise: str = "cannot be written") -> list[Path]:
    """Write named contents into a folder, one after the other, and return the files.

    Raises:
        BadInput: the folder cannot be written.
    """
    written = []
    try:
        for name, data in files:
            write_atomic(out / name, data)
            written.append(out / name)
    except OSError as error:
        raise BadInput(f"{out}: {otherwise}: {error.strerror or error}") from None
    return written


def markdown_table(summary: pd.DataFrame) -> str:
    """Write a summary for people, in Markdown.

    Of each model on a data set the best methods are bold and the second underlined.
    """
    columns = all_columns(summary)
    lines = [
        _markdown_line([text.markdown(column.heading) for column in columns]),
        _markdown_line(["---:" if column.number else "---" for column in columns]),
    ]
    for row in plain_rows(summary):
        # <ins> is the underline that Markdown viewers let pass.
        lines.append(_markdown_line(_cells(columns, row, text.markdown, ("**", "**"), ("<ins>", "</ins>"))))
    return "\n".join(lines) + "\n"


def latex_table(summary: pd.DataFrame, caption: str = "") -> str:
    """Write a summary as a LaTeX table; it needs the packages booktabs and, for names, inputenc or a modern engine.

    The columns are those that a page has room for; best is bold, second underlined, names are escaped.
    """
    columns = [column for column in all_columns(summary) if column.on_paper]
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        *([rf"\caption{{{text.latex(caption)}}}"] if caption else []),
        rf"\begin{{tabular}}{{{''.join('r' if column.number else 'l' for column in columns)}}}",
        r"\toprule",
        _latex_line([text.latex(column.heading) for column in columns]),
        r"\midrule",
    ]
    group = None
    for row in plain_rows(summary):
        if group not in (None, (row["dataset"], row["model"])):
            lines.append(r"\addlinespace")
        group = (row["dataset"], row["model"])
        lines.append(_latex_line(_cells(columns, row, text.latex, (r"\textbf{", "}"), (r"\underline{", "}"))))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def legend(summary: pd.DataFrame) -> str:
    """Say what the marks of a table mean, and where too little is there for one of them; plain text."""
    parts = [
        "Scores on test are of the best configuration on validation, run again on fresh seeds: mean ± standard "
        "deviation over these seeds."
    ]
    if summary["rank"].notna().any():
        parts.append(
            "Intervals and verdicts are over seeds and test items together, all pairs of a model and data set "
            "corrected by Holm. Rank: one more than the number of methods that are better beyond chance. "
            "Bold: rank 1 and, where the majority class was run, beyond it; underlined: the next rank."
        )
    if (summary["gap_to_best"] == "within").any():
        parts.append(f"{WITHIN}: the gap to the highest mean of the model is within chance.")
    unknown = [reason for gap, reason in _UNKNOWN.items() if (summary["gap_to_best"] == gap).any()]
    if unknown:
        parts.append(f"Nothing is said about chance, and nothing marked, for methods {'; or '.join(unknown)}.")
    if summary.attrs.get("transfer"):
        parts.append(
            "Tests on other data sets (transfer) keep no predictions: which differences are chance is not known."
        )
    if "workers" in summary and (summary["workers"] > 1).any():
        parts.append(f"{SHARED}: other trials ran at the same time, so times are those of a shared machine.")
    if "train_seconds_of_earlier_version" in summary:
        parts.append(f"{EARLIER}: of an earlier version, whose train time holds tokenising, measuring and saving too.")
    if "source" in summary:
        parts.append(f"Rows marked {MARK} were not measured by us; they are in no mean, rank or verdict.")
    return " ".join(parts)


_UNKNOWN = {
    "failed finals": "some of whose finals failed",
    "too few seeds": f"with fewer than {MIN_SEEDS} seeds",
    "too few items": f"with fewer than {MIN_ITEMS} test items a final",
    "no spread": "whose answers do not differ, so that no error is known",
    "no predictions": "whose answers to the test items are not in the records, or cannot be scored here",
}

_NARROW = 100
"""A terminal of fewer columns has no room for percent, memory and time beside the score; they are in the report."""


def terminal_table(summary: pd.DataFrame, width: int = _NARROW) -> Table:
    """Build the table that a run ends with: what fits into so many columns of a terminal.

    Data sets and models head the rows of their methods, so that names have room.
    """
    # Everything goes in as Text, which rich never reads as markup.
    columns = _terminal_columns(summary, narrow=width < _NARROW)
    rows = plain_rows(summary)
    longest = max((len(row[name]) for row in rows for name in ("model", "method")), default=0) + 4
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(Text("model and method"), overflow="fold", min_width=min(longest, 30))
    for column in columns:
        justify: Literal["right", "left"] = "right" if column.number else "left"
        table.add_column(Text(column.heading), justify=justify, no_wrap=column.number, overflow="fold")
    several = summary["dataset"].nunique() > 1
    dataset = group = ""
    for row in rows:
        if several and dataset != (dataset := row["dataset"]):
            table.add_row(Text(dataset, style="bold cyan"))
        if group != (group := f"{dataset} {row['model']}"):
            size = row["base_parameters"]
            heading = "no model" if row["model"] == "none" else row["model"]
            table.add_row(Text(heading + (f" ({text.short_count(size)})" if size else ""), style="cyan"))
        style = "bold" if row["standing"] == "best" else None
        method = Padding(Text(row["method"]), (0, 0, 0, 2))
        table.add_row(method, *(Text(column.value(row)) for column in columns), style=style)
    return table


def _terminal_columns(summary: pd.DataFrame, narrow: bool) -> list[Column]:
    costs = [
        Column("%", lambda row: text.percent(row["trainable_percent"])),
        Column("peak live\ntensors", lambda row: text.file_size(row["train_peak_live_tensors_bytes"])),
        Column("train\ntime", lambda row: timed(row, "train_seconds")),
    ]
    return [
        *metric_columns(summary),
        Column(score_heading(summary).replace(" ", "\n"), score),
        Column("seeds", repeats),
        Column("trainable", lambda row: text.count(row["trainable_parameters"])),
        *([] if narrow else costs),
        Column("runs", statuses, number=False),
    ]


def _cells(
    columns: Iterable[Column], row: SummaryRow, escape: Callable[[str], str], best: _Marks, second: _Marks
) -> list[str]:
    """Write a row, with marks around the score of a method that is best or second."""
    before, after = {"best": best, "second": second}.get(row["standing"], ("", ""))
    cells = ((column, escape(column.value(row))) for column in columns)
    return [f"{before}{cell}{after}" if column.is_score else cell for column, cell in cells]


def _markdown_line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _latex_line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
