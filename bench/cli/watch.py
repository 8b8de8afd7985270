"""``bench watch``: the progress of a run, from another terminal; it reads records and touches nothing."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bench.cli.status import manifest_of, progress_table
from bench.reporting.progress import Progress, progress
from bench.reporting.text import rough_duration


def watch(results: Path, every: float) -> None:
    """Show how far each cell is until all that is planned is done, or until Ctrl-C.

    A terminal shows the table of ``bench status``, drawn again every few seconds; where there is none,
    a line is printed whenever another run has ended.

    Raises:
        BadInput: not a results folder.
    """
    console = Console(emoji=False)
    began, (*_, at_first, _) = time.monotonic(), _look(results)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        last = -1
        while True:
            name, cells, done, planned = _look(results)
            line = f"{done} of {planned} runs done"
            if at_first < done < planned:  # the pace is what was seen while watching, for the folder tells no other
                left = (planned - done) * (time.monotonic() - began) / (done - at_first)
                line += f", about {rough_duration(left)} left at the pace seen here"
            if console.is_terminal:
                live.update(Group(progress_table(name, cells), Text(line)), refresh=True)
            elif done != last:
                print(line, flush=True)
            if done >= planned:
                return
            last = done
            time.sleep(every)


def _look(results: Path) -> tuple[str, list[Progress], int, int]:
    """Return the experiment's name and its cells, how many runs are done and how many are planned."""
    manifest = manifest_of(results)
    cells = progress(results, manifest)
    done = sum(min(cell.trials, cell.planned_trials) + min(cell.finals, cell.planned_finals) for cell in cells)
    return manifest.name, cells, done, sum(cell.planned_trials + cell.planned_finals for cell in cells)
