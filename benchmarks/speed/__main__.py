"""``python -m benchmarks.speed``: measure, store, and write the report; what is stored is not measured again."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before torch, and for both sides: threads wait as those of a worker do (bench/engines/processes.py).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch
import transformers

from bench.core.files import write_atomic
from bench.training.device import device_name
from benchmarks.speed.cases import cases, study_cases
from benchmarks.speed.measure import Disagreement
from benchmarks.speed.report import write
from benchmarks.speed.workload import DATA


def main() -> None:
    """Measure what is asked for and not stored yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="PREFIX", help="cases whose name begins so; all by default")
    parser.add_argument("--again", action="store_true", help="measure again what is stored")
    parser.add_argument("--steps", type=int, default=8, help="counted steps a case")
    parser.add_argument("--answers", type=int, default=512, help="answers written in a case of generation")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads, for both sides")
    parser.add_argument("--study-trials", type=int, default=16)
    parser.add_argument("--study-steps", type=int, default=4)
    parser.add_argument("--remark", help="what a reader has to know of the machine, such as what else ran on it")
    parser.add_argument("--out", type=Path, default=Path("reports/speed"))
    asked = parser.parse_args()

    torch.set_num_threads(asked.threads)
    transformers.logging.set_verbosity_error()
    every = [*cases(asked.steps, asked.answers), *study_cases(asked.study_trials, asked.study_steps)]
    file = asked.out / "results.json"
    stored = json.loads(file.read_text()) if file.exists() else {}
    results = stored.get("results", {})
    machine = {
        "processor": device_name(torch.device("cpu")),
        "platform": platform.platform(),
        "threads": asked.threads,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "optuna")},
        "data": f"{DATA[0]} questions as its template writes them",
        "remark": asked.remark or stored.get("machine", {}).get("remark"),
        "command": f"python -m benchmarks.speed --steps {asked.steps} --threads {asked.threads}",
    }
    for case in every:
        if asked.only is not None and not case.name.startswith(tuple(asked.only)):
            continue
        if case.name in results and not asked.again:
            continue
        print(f"{case.title} ...", flush=True)
        try:
            results[case.name] = case.run()
        except Disagreement as error:
            print(f"  NOT COMPARED: {error}", flush=True)
            continue
        print(f"  {case.column}: {results[case.name][case.column]:.2f}", flush=True)
        keep(file, machine, results)
    keep(file, machine, results)
    write(every, results, machine, asked.out)


def keep(file: Path, machine: dict[str, Any], results: dict[str, Any]) -> None:
    """Store what has been measured so far."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, (json.dumps({"machine": machine, "results": results}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
