"""Estimates cells in a process of its own, because that needs torch: so the driver of a run stays small.

The process is ``python -m bench.planning.estimating WHAT WORKERS THREADS [PLUGIN ...]``. It reads cells, a
JSON list, and prints what it finds of each, a line of JSON a cell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Literal

from bench.core.plugins import load_plugins, loaded_plugins
from bench.experiment.cell import Cell

What = Literal["seconds", "peaks"]


def estimating(what: What, cells: Sequence[Cell], workers: int = 1, threads: int = 1) -> subprocess.Popen[str]:
    """Begin to estimate cells; the process's output is read by `answers`.

    Args:
        what: ``seconds`` of runs on this machine, if it was calibrated, or ``peaks`` of memory in the smallest passes.
        cells: the cells.
        workers: trials at the same time.
        threads: of each.
    """
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
    cells = [Cell.model_validate(cell) for cell in json.load(sys.stdin)]
    load_plugins(plugins)
    os.nice(5)  # the trials are what is waited for
    estimate = _peaks if what == "peaks" else _seconds(int(workers), int(threads), cells[0].runtime.device)
    if estimate is None:
        return
    for cell in cells:
        try:
            found = estimate(cell)
        except Exception as error:  # an estimate that cannot be made stops nothing
            print(f"{cell.title}: {error}", file=sys.stderr)
            continue
        if found is not None:
            print(json.dumps({"path": cell.path, "found": found}), flush=True)


def _seconds(workers: int, threads: int, runs_on: str) -> Any:
    from dataclasses import asdict

    from bench.planning.cells import estimate
    from bench.planning.places import this_machine

    on = this_machine(workers, threads, runs_on)
    if on is None:
        return None

    def seconds(cell: Cell) -> dict[str, Any] | None:
        found = estimate(cell, on)
        return None if found is None else asdict(found.seconds)

    return seconds


def _peaks(cell: Cell) -> dict[str, Any] | None:
    import torch

    from bench.planning.cells import work_of
    from bench.planning.places import memory
    from bench.planning.predict import predict

    where, usable, bfloat16 = memory(cell.runtime.device)
    found = work_of(cell, torch.bfloat16 if bfloat16 else torch.float32)
    if found is None:
        return None
    peak = predict(found[0].in_smallest_passes(), beside=False).peak
    return {"peak": peak, "usable": usable, "where": where}


if __name__ == "__main__":
    main(*sys.argv[1:])
