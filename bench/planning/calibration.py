"""This machine's processor as a place to run: rates that fit what was measured on it, kept in the cache."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any, ClassVar, Literal

import numpy as np
import psutil
import torch
from pydantic import ValidationError
from scipy.optimize import nnls

from bench.core.config import Config
from bench.core.errors import Unavailable
from bench.core.files import write_atomic
from bench.core.packages import cache_folder
from bench.planning.devices import RESERVED
from bench.planning.trace import COSTS, Traced
from bench.training.device import device_name
from bench.training.loop import measured_steps

SECONDS = 30.0
"""For which passes are timed, after they have been made ready."""
MEASURING = ("-m", "bench.planning.measuring")
RUN = ("-m", "bench", "run", "experiment.yaml")
ROWS = 60
"""Of the data set of a run that has nothing else to do."""


class Timed(Config):
    """A pass that was timed."""

    what: str
    seconds: float
    """Median."""
    flops: float
    product_bytes: float
    other_bytes: float
    operators: float


class Calibration(Config):
    """What a processor's workers reach."""

    version: Literal[2] = 2
    """Of what the numbers mean: what another version has measured is measured anew."""
    processor: str
    threads: int
    """Of a worker."""
    workers: int
    """That were measured at the same time."""
    torch_version: str
    made_at: str
    rates: dict[str, float]
    """Seconds a unit of each of `COSTS`."""
    start: float
    """Seconds of a run around its trials (`around`)."""
    attaching: float
    """Seconds an operator of its step, in which a method is put on a network and its way through is chosen."""
    counting: float
    """Seconds more an operator, in a step whose live tensors are counted."""
    at_work: float
    """Share of the time in which the measuring threads ran; the rest went to what else ran on the machine."""
    timed: tuple[Timed, ...]

    @property
    def title(self) -> str:
        """As sentences name it."""
        threads = "a thread" if self.threads == 1 else f"{self.threads} threads"
        workers = "" if self.workers == 1 else f", {self.workers} workers"
        return f"{self.processor} ({threads} each{workers})" if workers else f"{self.processor} ({threads})"

    @property
    def usable(self) -> float:
        """Bytes for tensors of a worker, that is its share of the machine's."""
        return psutil.virtual_memory().total / self.workers - RESERVED

    bfloat16: ClassVar[float | None] = None
    """Trials on a processor run in float32."""

    def seconds(self, traced: Traced, dtype: torch.dtype) -> float:
        """Return the seconds of a pass; ``dtype`` is float32, as it was measured."""
        return float(sum(self.rates[name] * getattr(traced, name) for name in COSTS))

    def besides(self, step: Traced | None, evaluation: Traced) -> float:
        """Return the seconds of a run besides its passes: putting the method on, and counting live tensors."""
        counted = len(measured_steps([1, 2, 3])) if step else 0
        return (self.attaching + counted * self.counting) * (step or evaluation).operators

    @property
    def errors(self) -> list[float]:
        """Of every timed pass, by how much the rates miss it: 0.1 is ten per cent too long."""
        rows = np.array([[getattr(one, name) for name in COSTS] for one in self.timed])
        fitted = rows @ np.array([self.rates[name] for name in COSTS])
        return list(fitted / np.array([one.seconds for one in self.timed]) - 1)


def calibrate(workers: int, threads: int, environment: Mapping[str, str], seconds: float = SECONDS) -> Calibration:
    """Measure this machine's processor, with as many processes at work as there will be workers, and keep the result.

    Raises:
        Unavailable: a process did not get to its end.
    """
    measured = _measure(workers, threads, environment, seconds)
    found = fitted(measured, threads, around(workers, threads, environment))
    write_atomic(_file(workers, threads), found.model_dump_json(indent=1).encode())
    return found


def _measure(workers: int, threads: int, environment: Mapping[str, str], seconds: float) -> list[dict[str, Any]]:
    command = [sys.executable, *MEASURING, str(threads), str(seconds)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(environment))
        for _ in range(workers)
    ]
    try:
        ended = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, ended, strict=True):
        _check(process.returncode, errors, "the processor could not be measured")
    return [json.loads(output) for output, _ in ended]


def _check(code: int, errors: str, what: str) -> None:
    if code:
        raise Unavailable(f"{what}: {(errors.strip().splitlines() or ['no word of why'])[-1]}")


def around(workers: int, threads: int, environment: Mapping[str, str]) -> float:
    """Return the seconds of a ``bench run`` in which every worker answers a few rows by their majority class.

    They are the start of the command and of its workers, what is imported for the first scores, and the report.

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
    _check(done.returncode, done.stderr, "a run without training could not be timed")
    return seconds


def fitted(measured: Sequence[Mapping[str, Any]], threads: int, start: float) -> Calibration:
    """Return the rates, none below zero, whose relative errors over all passes have the least squares.

    Args:
        measured: what each process has seen (`bench.planning.measuring`), the passes in the same order.
        threads: of each process.
        start: seconds of a run around its trials.
    """
    timed = tuple(
        Timed(**{**same[0], "seconds": fmean(one["seconds"] for one in same)})
        for same in zip(*(each["passes"] for each in measured), strict=True)
    )
    rows = np.array([[getattr(one, name) / one.seconds for name in COSTS] for one in timed])
    scale = rows.max(0)  # units as unlike as FLOPs and operators
    rates, _ = nnls(rows / scale, np.ones(len(timed)))
    return Calibration(
        processor=device_name(torch.device("cpu")),
        threads=threads,
        workers=len(measured),
        torch_version=torch.__version__,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rates=dict(zip(COSTS, (rates / scale).tolist(), strict=True)),
        start=start,
        attaching=median(each["attaching"] for each in measured),
        counting=median(each["counting"] for each in measured),
        at_work=fmean(each["at_work"] for each in measured),
        timed=timed,
    )


def calibration(workers: int, threads: int) -> Calibration | None:
    """Return what was measured on this processor for so many workers of so many threads; None if nothing was."""
    try:
        return Calibration.model_validate_json(_file(workers, threads).read_bytes())
    except (OSError, ValidationError):  # of an earlier version: to be measured anew
        return None


def _file(workers: int, threads: int) -> Path:
    name = re.sub(r"[^a-z0-9]+", "-", device_name(torch.device("cpu")).lower()).strip("-")
    return cache_folder() / "calibrations" / f"{name}-{threads}-threads-{workers}-workers.json"
