"""What a whole ``bench run`` takes around its trials, by running one that has nothing else to do."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench.core.errors import Unavailable

RUN = ("-m", "bench", "run", "experiment.yaml")
ROWS = 60


def around(workers: int, threads: int, environment: Mapping[str, str]) -> float:
    """Return the seconds of a run in which every worker answers one data set of a few rows by its majority class.

    They are the start of the command and of its workers, what is imported for the first scores, and the report.

    Args:
        workers: processes.
        threads: of each.
        environment: of the command.

    Raises:
        Unavailable: the run did not get to its end.
    """
    experiment = {
        "name": "around",
        "models": ["glasslm-0.9m"],  # a file has to name one; no cell uses it
        "datasets": [
            {
                "local": {
                    "path": "rows.json", "template": "{text}", "label_column": "label", "label_words": ["no", "yes"],
                    "validation_size": ROWS // 3, "test_size": ROWS // 3,
                }
            }
        ],
        "methods": [{"majority": {"label": f"worker-{n}"}} for n in range(workers)],
        "runtime": {"threads": threads, "device": "cpu"},
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rows = [{"text": f"row {n}", "label": ("no", "yes")[n % 2]} for n in range(ROWS)]
        (Path(folder) / "rows.json").write_text(json.dumps(rows))
        (Path(folder) / "experiment.yaml").write_text(json.dumps(experiment))
        began = time.perf_counter()
        command = [sys.executable, *RUN, "--workers", str(workers)]
        done = subprocess.run(command, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise Unavailable(f"a run without training could not be timed: {last}")
    return seconds
