"""``bench watch``: the progress of a run, from another terminal; it reads records and touches nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bench.cli.status import progress_table
from bench.core.errors import BadInput
from bench.reporting.progress import Progress, progress
from bench.reporting.text import rough_duration
from bench.runs.manifest import FILENAME, Manifest


def watch(results: Path, every: float) -> None:
    """Show how far each cell is until all that is planned is done, or until Ctrl-C.

    A terminal shows the table of ``bench status``, drawn again every few seconds; where there is none,
    a line is printed whenever another run has ended.

    Raises:
        BadInput: not a results folder.
    """
    console = Console()
    began, at_first = time.monotonic(), _done(_read(results)[1])
    with Live(console=console, auto_refresh=False, transient=False) as live:
        last = -1
        while True:
            name, cells = _read(results)
            done, planned = _done(cells), _planned(cells)
            line = _line(done, planned, done - at_first, time.monotonic() - began)
            if console.is_terminal:
                live.update(Group(progress_table(name, cells), Text(line)), refresh=True)
            elif done != last:
                print(line, flush=True)
            if done >= planned:
                return
            last = done
            time.sleep(every)


def _read(results: Path) -> tuple[str, list[Progress]]:
    manifest = Manifest.read(results) if results.is_dir() else None
    if manifest is None:
        raise BadInput(f"{results}: no results folder (there is no {FILENAME} in it)")
    return manifest.name, progress(results, manifest)


def _done(cells: Sequence[Progress]) -> int:
    return sum(min(cell.trials, cell.planned_trials) + min(cell.finals, cell.planned_finals) for cell in cells)


def _planned(cells: Sequence[Progress]) -> int:
    return sum(cell.planned_trials + cell.planned_finals for cell in cells)


def _line(done: int, planned: int, since: int, seconds: float) -> str:
    """Say how far the whole is; the pace is what was seen while watching, for the folder tells no other."""
    left = ""
    if since and done < planned:
        left = f", about {rough_duration((planned - done) * seconds / since)} left at the pace seen here"
    return f"{done} of {planned} runs done{left}"
