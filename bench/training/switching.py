"""Task switching: what it takes to keep another task, and to go over to it on a resident base model."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import torch

from bench.methods.base import TunedModel

REPEATS = 5
SECONDS = 2.0
"""No further switch is timed once this much time has gone by: all weights of a large model take long."""


def measure_switch(tuned: TunedModel, folder: Path, device: torch.device) -> dict[str, float]:
    """Time the switch to the task whose trained weights are in ``folder``.

    A switch is from the first byte read to the moment at which the first input could be run: the files are read and
    put in the place of the task before, and what is computed once a task (a prefix) is computed. The base model stays
    where it is. The files have been written or read just before, so they come from the system's cache, not from the
    disk. Which values the task before had does not matter to any of this, so the task is switched to itself.

    Returns:
        ``task_switch_ms``: median of up to five switches; ``task_bytes``: all files of the task.
    """
    tuned.train(False)
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < SECONDS:
        _synchronize(device)
        began = time.perf_counter()
        tuned.load(folder)
        with torch.inference_mode(), tuned.evaluating():
            _synchronize(device)
            taken.append(time.perf_counter() - began)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {"task_bytes": float(size), "task_switch_ms": round(1000 * median(taken), 3)}


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
