"""Where an experiment would run: a device of the table, or this machine."""

from __future__ import annotations

import re
from itertools import pairwise

import psutil
import torch

from bench.core.errors import BadInput
from bench.planning.calibration import Calibration, calibration
from bench.planning.devices import DEVICES, RESERVED, Device, device
from bench.training.device import device_name, resolve_device

HERE = "here"
Place = Device | Calibration


def place(name: str | None, workers: int, threads: int, runs_on: str = "auto") -> Place:
    """Return a place by its name; by none this machine if it was measured, else the first device of the table.

    Args:
        name: ``here`` or a name of `bench.planning.devices.DEVICES`.
        workers: trials at the same time.
        threads: of each.
        runs_on: ``runtime.device`` of the experiment.

    Raises:
        BadInput: an unknown name, or a machine that was not measured.
    """
    if name is None:
        return this_machine(workers, threads, runs_on) or next(iter(DEVICES.values()))
    if name.lower() != HERE:
        return device(name)
    found = this_machine(workers, threads, runs_on)
    if found is not None:
        return found
    if (there := resolve_device(runs_on)).type != "cpu":
        raise BadInput(f"--device here: trials would run on {device_name(there)}, which is not in the table of devices")
    raise BadInput(
        f"this machine's processor was not measured yet with {workers} x {threads} threads; run: bench calibrate "
        f"--workers {workers} (a minute), or name a device: --device h100"
    )


def this_machine(workers: int, threads: int, runs_on: str = "auto") -> Place | None:
    """Return this machine as a place: its GPU by the table, its processor if it was measured; None where neither is."""
    there = resolve_device(runs_on)
    if there.type == "cpu":
        return calibration(workers, threads)
    if there.type != "cuda":
        return None
    words = re.split(r"[ -]", device_name(there).lower())
    names = {*words, *map("".join, pairwise(words))}  # "RTX 4090" is two words
    total = torch.cuda.get_device_properties(there).total_memory
    # Cards of one name are made with less memory, for laptops too, and are not those of the table.
    return next((found for key, found in DEVICES.items() if key in names and total > 0.9 * found.memory), None)


def memory(runs_on: str = "auto") -> tuple[str, float, bool]:
    """Return what this machine's trials run on, the bytes for tensors there, and whether it has bfloat16.

    They are those of a worker that has the machine to itself.
    """
    there = resolve_device(runs_on)
    if there.type == "cuda":
        total = torch.cuda.get_device_properties(there).total_memory
        return device_name(there), total - RESERVED, torch.cuda.is_bf16_supported(including_emulation=False)
    return "this machine", psutil.virtual_memory().total - RESERVED, False
