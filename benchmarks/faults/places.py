"""Where campaigns run: engines and shards, with what differs between them, and a Ray cluster of one node.

The cluster is a process of its own, which outlives each driver as a real one does: ``python -m
benchmarks.faults.places`` prints its address, and ends with its standard input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil


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


@contextmanager
def ray_cluster() -> Iterator[tuple[str, psutil.Process]]:
    """Start a cluster; yield its address and the process that all of its processes descend from."""
    command = [sys.executable, "-m", "benchmarks.faults.places"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            address = next((line.split()[1] for line in process.stdout if line.startswith("address ")), None)
            if address is None:
                raise SystemExit("the Ray cluster does not start")
            yield address, psutil.Process(process.pid)
        finally:
            process.stdin.close()


def actors(cluster: psutil.Process) -> list[psutil.Process]:
    """Return the workers of a cluster that are actors; Ray writes into the title of a process what it is."""
    found = []
    for process in cluster.children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::Actor"):
            found.append(process)
    return found


if __name__ == "__main__":
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    print("address", cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()
