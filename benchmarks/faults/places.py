"""Where campaigns run: engines and shards, with what differs between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from benchmarks.faults.cluster import actors


@dataclass(frozen=True)
class Place:
    """An engine to be tried, or shards."""

    settings: dict[str, Any]
    """What the experiment says of it."""
    seconds: float
    """Within which a run ends, or hangs."""
    deaths: tuple[str, ...]
    """How a trial may kill its worker."""
    faults: tuple[str, ...] | None = None
    """What is tried there; None is all."""
    workers: Callable[[int], list[psutil.Process]] = lambda driver: psutil.Process(driver).children()
    """Finds the workers of a driver."""


PLACES = {
    "processes": Place({"engine": "null-processes", "runtime": {"hang_timeout": 4.0}}, 60, ("die", "exit", "garbage")),
    "shards": Place(
        {"engine": "null-processes", "runtime": {"hang_timeout": 4.0}}, 60, (),
        ("shard_killed", "shard_killed_at_write", "shards_of_two_numbers"),
    ),
}  # fmt: skip


def on_ray(address: str, cluster: psutil.Process) -> Place:
    """Return a Ray cluster as a place. What it shares with other engines, disk and database, is not tried again."""
    return Place(
        {"engine": "null-ray", "engine_options": {"address": address}, "runtime": {"hang_timeout": 5.0}},
        300,
        ("die", "exit"),
        ("driver_killed", "driver_killed_at_write", "worker_killed", "worker_dies", "worker_hangs", "worker_leaks",
         "terminated", "interrupted", "record_cut"),
        lambda driver: actors(cluster),
    )  # fmt: skip
