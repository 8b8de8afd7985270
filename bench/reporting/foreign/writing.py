"""Foreign runs written out: a table, what it allows to be said, and a folder with both and the figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd

from bench.reporting import text
from bench.reporting.foreign import peft
from bench.reporting.foreign.drawing import pareto_figure
from bench.reporting.foreign.runs import COSTS, FIRST, ForeignRun, ForeignTable
from bench.reporting.frame import typed
from bench.reporting.writers import csv_table, write_files

HEADINGS = ("run", "score", "standard error", "rank", "trainable", "memory", "train time", "without a score")


def frame(tables: Sequence[ForeignTable]) -> pd.DataFrame:
    """Return all runs as a frame, a row a run; the first column, ``source``, names the tool that they come from."""
    runs = [run for table in tables for run in table.runs]
    columns = {field.name: typed(getattr(run, field.name) for run in runs) for field in fields(ForeignRun)}
    ranks = [rank for table in tables for rank in table.ranks]
    return pd.DataFrame({**columns, "rank": typed(ranks, "Int64")})


def rows(table: ForeignTable) -> Iterator[tuple[str, ...]]:
    """Yield a row a run, in the order of `HEADINGS`."""
    for run, rank in zip(table.runs, table.ranks, strict=True):
        yield (
            run.name,
            text.score(run.score),
            text.score(run.error),
            text.count(rank),
            text.count(run.trainable_parameters),
            text.file_size(run.memory_bytes),
            text.duration(run.train_seconds),
            text.one_line(run.reason or "", 80) if run.score is None else "",
        )


def sentences(table: ForeignTable) -> Iterator[str]:
    """Say what the scores of a table allow to be said, and what not."""
    first = table.runs[0]
    yield (
        f"Foreign records, of {first.source}: {text.number_of(len(table.runs), 'run')}, {len(table.scored)} with a "
        "score. They are not ours, and are never averaged or ranked with ours."
    )
    pairs, floor = table.unordered, table.floor
    count = min(FIRST, len(table.scored))
    if pairs is None or floor is None:
        if len(table.scored) > 1:
            why = next((run.reason for run in table.scored if run.part is None and run.reason), "too few items")
            yield f"Which scores differ by more than chance cannot be told: {why}."
    else:
        known = [run for run in table.scored[:FIRST] if run.part]
        error = max(run.error or 0.0 for run in known)
        items = ", ".join(f"{number:,}" for number in sorted({run.items for run in known if run.items}))
        yield (
            f"Resolution floor: with {items} test items the standard error of a score is up to "
            f"{100 * error:.1f} points. A gap under {100 * floor:.1f} points between two runs is chance at 95 %, even "
            "were these two the only ones."
        )
        total = count * (count - 1) // 2
        scores = [run.score or 0.0 for run in table.scored[:FIRST]]
        span = f"{text.score(scores[0])} to {text.score(scores[-1])}"
        if len(pairs) == total:
            yield f"The first {count} ({span}) cannot be ordered: not one of their {total} pairs is beyond chance."
        else:
            yield f"Of the first {count} ({span}), {len(pairs)} of {total} pairs cannot be ordered."
        yield (
            f"Ranks: one more than the number of runs that are better beyond chance, all "
            f"{len(table.corrected):,} pairs corrected by Holm. The answers to single items are in no file, so they "
            "count as independent: with them, smaller gaps could be told."
        )
    yield (
        "One seed a run: nothing can be said about what another seed would change. Every interval here is over test "
        "items alone, and too narrow for a method."
    )
    if first.source == peft.SOURCE:
        yield (
            "As that tool measures: memory is the most that the accelerator had reserved at any time, evaluation "
            "included; train time is not of the steps alone."
        )


def report(tables: Sequence[ForeignTable]) -> str:
    """Return tables and sentences in Markdown."""
    parts = ["# Foreign records"]
    for table in tables:
        parts.append(f"## {text.markdown(table.title)}")
        parts.append("\n".join(f"- {text.markdown(line, 2000)}" for line in sentences(table)))
        if any(table.front(cost) for cost in COSTS):
            parts.append("![Foreign scores against cost](pareto.png)")
        lines = [HEADINGS, ("---", *("---:",) * (len(HEADINGS) - 2), "---")]
        body = [tuple(text.markdown(cell) for cell in row) for row in rows(table)]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in [*lines, *body]))
    return "\n\n".join(parts) + "\n"


def write(tables: Sequence[ForeignTable], out: Path) -> list[Path]:
    """Write ``foreign.csv``, the figures and ``foreign.md``, and return the files.

    Raises:
        BadInput: the folder cannot be written.
    """
    files = {"foreign.csv": csv_table(frame(tables)).encode()}
    for table in tables:  # costs are in PEFT's folders, which are of one task
        files |= {f"pareto.{form}": data for form, data in pareto_figure(table).items()}
    files["foreign.md"] = report(tables).encode()
    return write_files(out, files.items())
