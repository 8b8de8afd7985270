"""``python -m benchmarks.many_trials``: what the driver itself costs a trial, in a study of 500.

Trials train nothing and end at once, so all that is measured is asking, writing, telling, and the database.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

from bench.api import plan
from bench.driver.driver import Driver
from bench.driver.watcher import Watcher
from bench.engines.inline import Inline
from bench.engines.running import Runner
from bench.methods import methods
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from benchmarks.faults.campaign import ROWS
from benchmarks.faults.null import Null, run_null


class Instant(Inline):
    """Ends each trial at once, after ten steps that took no time."""

    runner: ClassVar[str] = "benchmarks.many_trials:instant_runner"


def instant_runner() -> Runner:
    """Return what runs such a trial, and gives its record as it would come from a worker."""

    def run(spec: TrialSpec, listener: Any, artifacts: Path, threads: int) -> TrialRecord:
        record = run_null(spec, listener, Path(spec.cell.dataset.options["path"]).parent, steps=10, pause=0)
        return TrialRecord.model_validate_json(record.model_dump_json())

    return run


class Clocked(Watcher):
    """Prints the cost of each hundred trials."""

    def __init__(self) -> None:
        self._done, self._since, self._used = 0, time.perf_counter(), time.process_time()

    def finished(self, record: TrialRecord) -> None:
        """Count."""
        self._done += 1
        if self._done % 100 == 0:
            now, used = time.perf_counter(), time.process_time()
            print(f"| {self._done} | {10 * (now - self._since):.1f} | {10 * (used - self._used):.1f} |", flush=True)
            self._since, self._used = now, used


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_trials")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--pruner", default="median")
    parser.add_argument("--sampler", default="tpe")
    given = parser.parse_args()
    methods.add("null", Null, owner="benchmarks.faults")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "rows.csv").write_text(ROWS)
        experiment = {
            "name": "many",
            "models": ["glasslm-0.9m"],
            "datasets": [{"local": {"path": str(home / "rows.csv")}}],
            "methods": ["null"],
            "study": {"trials": given.trials, "sampler": given.sampler, "pruner": given.pruner},
            "finals": {"seeds": 1},
            "engine": "inline",
        }
        planned = plan(experiment, home / "results")
        arguments = (planned.manifest, planned.cells, planned.results, Instant())
        print("| trials | driver, ms a trial | of these CPU |\n| ---: | ---: | ---: |")
        began = time.perf_counter()
        with Driver(*arguments, Clocked()) as driver:
            driver.run()
        print(f"\non average: {1000 * (time.perf_counter() - began) / given.trials:.1f} ms a trial")
        began = time.perf_counter()
        with Driver(*arguments, Watcher()) as driver:
            driver.run()
        print(f"starting again, with all done: {time.perf_counter() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
