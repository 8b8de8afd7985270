"""Estimates cells in a process of its own, because that needs torch: so the driver of a run stays small.

The process is ``python -m bench.planning.estimating WHAT WORKERS THREADS [PLUGIN ...]``. It reads cells, a
JSON list, and prints what it finds of each, a line of JSON a cell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from bench.core.plugins import load_plugins, loaded_plugins
from bench.experiment.cell import Cell
from bench.models import models

if TYPE_CHECKING:
    from bench.planning.places import Place

What = Literal["seconds", "peaks"]
"""Seconds of runs on this machine, if it was calibrated, or peaks of memory in passes of one example."""
SURELY_FITS = 300_000_000
"""Parameters up to which nobody looks: all of them trained by AdamW in float32 take 4.5 GiB, and the look a second."""


def too_large_cells(cells: Sequence[Cell], say: Callable[[str], None]) -> dict[str, str]:
    """Return why a cell cannot fit into this machine's memory, by the paths of such cells, before any trial of them.

    It is held against the whole memory of the device that trials run on, in passes of one example: what a trial may
    fall back to. A cell that cannot be predicted may be tried. Looking takes a moment, so `say` is told of it.
    """
    large = [cell for cell in cells if cell.model is not None and _parameters(cell) > SURELY_FITS]
    if not large:
        return {}
    say(f"predicting whether {', '.join(dict.fromkeys(cell.labels[0] for cell in large))} will fit into memory")
    with estimating("peaks", large) as process:
        predicted = answers(process.stdout)
    return {
        path: f"predicted to need {one['peak'] / 2**30:.1f} GiB in passes of one example, and {one['where']} has "
        f"{one['usable'] / 2**30:.1f} GiB for it ('bench plan' says what would fit; --force tries it)"
        for path, one in predicted.items()
        if one["peak"] > one["usable"]
    }


def _parameters(cell: Cell) -> float:
    """Return the parameters that a cell's model states, or the most that its weights can hold where they are here."""
    assert cell.model is not None
    if stated := models.get(cell.model.name).parameters:
        return stated
    folder = models.build(cell.model.name, cell.model.options, cell.title).folder()
    files = [file.stat().st_size for file in folder.glob("*.safetensors")] if folder.is_dir() else []
    return sum(files) / 2 if files else float("inf")


def estimating(what: What, cells: Sequence[Cell], workers: int = 1, threads: int = 1) -> subprocess.Popen[str]:
    """Begin to estimate cells, for so many workers of so many threads; `answers` reads the process's output."""
    plugins = [plugin.file for plugin in loaded_plugins()]
    command = [sys.executable, "-m", "bench.planning.estimating", what, str(workers), str(threads), *plugins]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet, text=True, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps([cell.model_dump(mode="json") for cell in cells]))
    process.stdin.close()
    return process


def answers(lines: Any) -> dict[str, Any]:
    """Return what a process has printed, by the cells' paths; a cell that could not be estimated is left out."""
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return {one["path"]: one["found"] for one in told}


def main(what: str, workers: str, threads: str, *plugins: str) -> None:
    """Estimate what is read from stdin."""
    from bench.planning.places import this_machine

    cells = [Cell.model_validate(cell) for cell in json.load(sys.stdin)]
    load_plugins(plugins)
    os.nice(5)  # the trials are what is waited for
    on = None if what == "peaks" else this_machine(int(workers), int(threads), cells[0].runtime.device)
    if what == "seconds" and on is None:
        return
    for cell in cells:
        try:
            found = _seconds(cell, on) if on is not None else _peak(cell)
        except Exception as error:  # an estimate that cannot be made stops nothing
            print(f"{cell.title}: {error}", file=sys.stderr)
            continue
        if found is not None:
            print(json.dumps({"path": cell.path, "found": found}), flush=True)


def _seconds(cell: Cell, on: Place) -> dict[str, Any] | None:
    from bench.planning.cells import estimate

    found = estimate(cell, on)
    return None if found is None else asdict(found.seconds)


def _peak(cell: Cell) -> dict[str, Any] | None:
    import torch

    from bench.planning.cells import work_of
    from bench.planning.places import memory
    from bench.planning.predict import predict

    where, usable, bfloat16 = memory(cell.runtime.device)
    found = work_of(cell, torch.bfloat16 if bfloat16 else torch.float32)
    if found is None:
        return None
    peak = predict(found[0].in_smallest_passes()).peak
    return {"peak": peak, "usable": usable, "where": where}


if __name__ == "__main__":
    main(*sys.argv[1:])
