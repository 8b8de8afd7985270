"""Predicted against measured: the seconds of an experiment's runs on this machine, and the table of docs/planning.md.

Calibrations and runs take turns in this one process, on one thread, and both are told in the seconds of CPU that it
used: those are the seconds of an idle machine, and other work leaves them nearly alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import torch

from bench.api import execute, plan
from bench.engines.running import ENVIRONMENT
from bench.planning import calibration
from bench.planning.cells import estimate
from bench.runs.record import TrialRecord


def measure() -> calibration.Calibration:
    """Calibrate this machine for one worker of one thread, in CPU seconds."""
    from bench.planning import measuring

    found = measuring.measured(10.0)
    return calibration.fitted([found], threads=1, start=0.0)


def run(file: Path, changes: list[str], folder: str) -> list[TrialRecord]:
    """Run an experiment here, and return its records."""
    changes = [*changes, "runtime.threads=1"]
    return execute(plan(file, folder, changes=changes, engine="inline", workers=1))


def main() -> None:
    """Print a row for each cell and turn: measured, predicted, and by how much the prediction misses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--turns", type=int, default=2)
    asked = parser.parse_args()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    torch.set_num_threads(1)
    time.perf_counter = time.process_time  # of the meters of trials, too
    print("| experiment | cell | runs | measured, s | predicted, s | error |\n|---|---|---|---|---|---|")
    sums: dict[Path, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(asked.turns):
        on = measure()
        for file in asked.files:
            with tempfile.TemporaryDirectory() as folder:
                records = run(file, asked.changes, folder)
            cells = {record.cell_path: record.spec.cell for record in records if record.spec.cell.model}
            sums[file].append((0.0, 0.0))
            for path, cell in cells.items():
                expected = estimate(cell, on)
                assert expected is not None
                mine = [record for record in records if record.cell_path == path]
                took = sum(record.seconds["total"] for record in mine)
                finals = sum(record.spec.kind == "final" for record in mine)
                steps = sum(len(record.train_curve) for record in mine)
                # What pruning saves is a guess of its own: trials are counted as they ended.
                trials = len(mine) - finals
                said = trials * expected.seconds.trial + finals * expected.seconds.final
                pruned = sum(record.status == "pruned" for record in mine)
                row = f"{trials} trials, {pruned} pruned, {finals} finals" if steps or trials else f"{finals} finals"
                print(f"| {file.stem} | {cell.title} | {row} | {took:.1f} | {said:.1f} | {said / took - 1:+.0%} |")
                sums[file][-1] = (sums[file][-1][0] + took, sums[file][-1][1] + said)
    for file, turns in sums.items():
        errors = [said / took - 1 for took, said in turns]
        print(
            f"{file.stem}: all cells with a model, by turn: {', '.join(f'{error:+.0%}' for error in errors)}; "
            f"median {median(errors):+.0%}"
        )


if __name__ == "__main__":
    main()
