"""How long a report of a hundred thousand records takes, and how much memory: ``python -m benchmarks.reports``.

Makes synthetic records in a temporary folder (about 0.8 GB; several minutes), then measures ``bench
report`` without and with the compacted copy, ``bench status``, and that of one cell of ten thousand
runs, each as a process of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.reporting.compact import FILENAME
from benchmarks.synthetic import write

MODELS, DATASETS, METHODS, FINALS = 5, 4, 5, 3
ONE_CELL = 10_000


def main() -> None:
    """Make the records, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="use this results folder, made by an earlier run with --keep")
    parser.add_argument("--keep", type=Path, help="make the records here and leave them")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="reports-"))
    try:
        folder = options.folder or options.keep or work / "synthetic"
        if options.folder is None:
            trials = max(1, options.records // (MODELS * DATASETS * METHODS) - FINALS)
            print(f"making {write(folder, MODELS, DATASETS, METHODS, trials, FINALS)} records", flush=True)
        (folder / FILENAME).unlink(missing_ok=True)
        bench = [sys.executable, "-m", "bench"]
        rows = [
            (
                "report, first time (the compacted copy is made)",
                [*bench, "report", str(folder), "--out", str(work / "r")],
            ),
            ("report, again", [*bench, "report", str(folder), "--out", str(work / "r")]),
            ("status", [*bench, "status", str(folder)]),
        ]
        one = work / "one"
        write(one, 1, 1, 1, ONE_CELL - FINALS, FINALS)
        rows += [
            (f"status of {ONE_CELL} runs in one cell, first time", [*bench, "status", str(one)]),
            (f"status of {ONE_CELL} runs in one cell, again", [*bench, "status", str(one)]),
        ]
        print("| command | wall clock (s) | CPU (s) | peak resident set (MiB) |\n| --- | ---: | ---: | ---: |")
        for name, command in rows:
            wall, cpu, peak = measured(command)
            print(f"| {name} | {wall:.1f} | {cpu:.1f} | {peak:.0f} |", flush=True)
    finally:
        shutil.rmtree(work)


def measured(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return wall-clock and CPU seconds (with its helpers), and its own peak resident set in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
