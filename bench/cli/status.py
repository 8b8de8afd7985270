"""``bench status``: how far an experiment is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.core.errors import BadInput
from bench.reporting.progress import Progress, progress
from bench.reporting.superseded import superseded_in, told
from bench.runs.manifest import FILENAME, Manifest, without_password
from bench.runs.store import RecordStore


def manifest_of(results: Path) -> Manifest:
    """Return what a folder was asked for.

    Raises:
        BadInput: not a results folder.
    """
    manifest = Manifest.read(results)
    if manifest is None:
        raise BadInput(f"{results}: no results folder (there is no {FILENAME} in it)")
    return manifest


def show_status(results: Path) -> None:
    """Print a row for each cell: what is done, how it ended, the best so far."""
    manifest = manifest_of(results)
    Console().print(progress_table(manifest.name, progress(results, manifest)))
    for line in told(superseded_in(results, manifest)):
        print(line)


def progress_table(name: str, cells: Sequence[Progress]) -> Table:
    """Build the table of ``bench status`` and ``bench watch``."""
    table = Table(title=escape(name), title_justify="left")
    for heading in ("model", "data set", "method", "trials", "finals", "by status", "best on\nvalidation"):
        table.add_column(heading, overflow="fold")
    for cell in cells:
        table.add_row(
            *map(escape, cell.labels),
            f"{cell.trials} of {cell.planned_trials}",
            f"{cell.finals} of {cell.planned_finals}",
            ", ".join(f"{number} {status}" for status, number in cell.statuses.items()) or "not begun",
            "-" if cell.best is None else f"{cell.best:.3f}",
        )
    return table


def rebuild_database(results: Path, url: str | None) -> None:
    """Write ``study.db`` anew from the records of the current cells, or what is new into the database behind ``url``.

    Raises:
        BadInput: not a results folder, in use by a run, or a database that cannot be written.
    """
    from bench.driver.lock import lock_folder
    from bench.search.database import FILENAME as DATABASE
    from bench.search.database import rebuild

    manifest = manifest_of(results)
    lock = lock_folder(results)
    try:
        store = RecordStore(results)
        first = (next(store.iter_cell(path), None) for path in manifest.cells)
        written = rebuild(results, url, manifest.name, [record.spec.cell for record in first if record is not None])
    finally:
        lock.release()
    print(f"{without_password(url) if url else results / DATABASE}: {written} trials")
