"""A Ray cluster of one node for a campaign, in a process of its own: it outlives each driver, as a real one does.

``python -m benchmarks.faults.cluster`` prints its address, and ends with its standard input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def ray_cluster() -> Iterator[tuple[str, psutil.Process]]:
    """Start a cluster; yield its address and the process that all of its processes descend from."""
    command = [sys.executable, "-m", "benchmarks.faults.cluster"]
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
