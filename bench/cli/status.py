"""``bench status``: how far an experiment is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.errors import BadInput
from bench.manifest import FILENAME, Manifest
from bench.records import RecordStore, best_trial, finals_of


def show_status(results: Path) -> None:
    """Print a row for each cell: what is done, how it ended, the best so far.

    Raises:
        BadInput: not a results folder.
    """
    manifest = Manifest.read(results)
    if manifest is None:
        raise BadInput(f"{results}: no results folder (there is no {FILENAME} in it)")
    store = RecordStore(results)
    table = Table(title=escape(manifest.name), title_justify="left")
    for heading in ("model", "data set", "method", "trials", "finals", "by status", "best on validation"):
        table.add_column(heading, overflow="fold")
    for cell_path, planned in manifest.cells.items():
        records = store.read_cell(cell_path)
        trials = [r for r in records if r.spec.kind == "trial"]
        best = best_trial(trials)
        finals = finals_of(best, records)
        counts = Counter(record.status for record in [*trials, *finals])
        table.add_row(
            *map(escape, cell_path.split("/")[:3]),
            f"{len(trials)} of {planned.trials}",
            f"{len(finals)} of {planned.finals}",
            ", ".join(f"{n} {status}" for status, n in counts.items()) or "not begun",
            f"{best.objective:.3f}" if best and best.objective is not None else "-",
        )
    Console().print(table)
