"""How long status and report of ten thousand records take, and how much memory: ``python -m benchmarks.reports``.

Makes synthetic records of realistic size (13 KB; finals with 500 predictions) in a temporary folder, then measures
``bench status`` and ``bench report`` as processes of their own. The targets, on two idle cores: 2 s, and 60 s and 2 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.synthetic import write

MODELS, DATASETS, METHODS, FINALS = 5, 4, 5, 3
STEPS, ITEMS = 60, 500


def main() -> None:
    """Make the records, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reports-") as work:
        several, one = Path(work) / "several", Path(work) / "one"
        trials = max(1, options.records // (MODELS * DATASETS * METHODS) - FINALS)
        print(f"{write(several, MODELS, DATASETS, METHODS, trials, FINALS, STEPS, ITEMS)} records in 100 cells")
        print(f"{write(one, 1, 1, 1, options.records - FINALS, FINALS, STEPS, ITEMS)} records in one cell", flush=True)
        print("| command | wall clock (s) | CPU (s) | peak resident set (MiB) |\n| --- | ---: | ---: | ---: |")
        for folder in (several, one):
            for arguments in (["status"], ["status"], ["report", "--out", str(Path(work) / "report")]):
                command = [sys.executable, "-m", "bench", arguments[0], str(folder), *arguments[1:]]
                wall, cpu, peak = measured(command)
                print(f"| {arguments[0]} ({folder.name}) | {wall:.1f} | {cpu:.1f} | {peak:.0f} |", flush=True)


def measured(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return wall-clock and CPU seconds, and its peak resident set in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
