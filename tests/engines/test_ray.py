"""The ray engine on a cluster of several nodes in this machine."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from demo import demo_cell, demo_spec

ray = pytest.importorskip("ray", reason="pip install 'promptscale[ray]'")

from bench.engines.ray_actors import Ray  # noqa: E402 - it is there or the file is skipped


class Heard:
    def __init__(self):
        self.steps, self.values, self.limit = [], [], 99

    def progress(self, spec, step, steps, loss):
        self.steps.append(step)

    def validated(self, spec, step, value):
        self.values.append((step, value))
        return len(self.values) < self.limit


class Quick(Ray):
    runner = "ray_runner:make"


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        here = Path(__file__).parent
        patch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent), *filter(None, sys.path)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        cluster.add_node(num_cpus=1)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def pool(cluster):
    pool = Quick(workers=2, address=cluster.address).start(Heard())
    yield pool
    pool.close()


def wait(pool, number=1, seconds=120):
    deadline, records = time.monotonic() + seconds, []
    while len(records) < number and time.monotonic() < deadline:
        records += pool.poll(0.5)
    return records


def test_a_trial_runs_in_an_actor_and_its_weights_come_back_to_the_driver(pool, tmp_path):
    pool._listener = heard = Heard()
    pool.submit(demo_spec(kind="final", number=0), tmp_path / "kept")
    (record,) = wait(pool)
    assert (record.status, heard.steps, heard.values) == ("ok", [1], [(1, 0.25)])
    assert record.notes["pid"] != os.getpid()
    assert (tmp_path / "kept" / "adapter.safetensors").read_bytes() == b"weights"


def test_the_studys_verdict_reaches_the_trial(pool, tmp_path):
    pool._listener = Heard()
    pool._listener.limit = 0
    pool.submit(demo_spec(number=2), tmp_path)
    assert [record.status for record in wait(pool)] == ["pruned"]


def test_an_actor_that_is_killed_loses_its_trial_once_and_is_replaced(pool, tmp_path):
    pool._listener = heard = Heard()
    pool.submit(demo_spec(number=1), tmp_path)
    (record,) = wait(pool)
    assert record.status == "killed"
    assert "the worker on the cluster died" in record.reason
    assert heard.values == [(1, 0.25)], "Ray did not run it again by itself"
    assert pool.free() == 2
    pool.submit(demo_spec(number=2), tmp_path)
    assert [record.status for record in wait(pool)] == ["ok"]


def test_a_trial_that_takes_too_long_is_stopped(pool, tmp_path):
    cell = demo_cell(runtime={"trial_timeout": 1.0})
    pool.submit(demo_spec(cell, 9), tmp_path)
    (record,) = wait(pool)
    assert (record.status, record.reason) == ("timeout", "stopped after 1 s (runtime.trial_timeout)")


def test_a_node_that_goes_down_in_the_middle_takes_its_trial_alone(pool, cluster, tmp_path):
    pool._listener = heard = Heard()
    cluster.add_node(num_cpus=1)
    pool.submit(demo_spec(number=9), tmp_path)
    while not heard.values:
        assert pool.poll(0.5) == []
    pool.submit(demo_spec(number=8), tmp_path)
    (done,) = wait(pool)
    assert (done.spec.number, done.status) == (8, "ok"), "on the other node"
    for node in list(cluster.worker_nodes):  # whichever of them has it
        cluster.remove_node(node, allow_graceful=False)
    (lost,) = wait(pool)
    assert (lost.spec.number, lost.status) == (9, "killed")
    cluster.add_node(num_cpus=1)
    pool.submit(demo_spec(number=3), tmp_path)
    assert [record.status for record in wait(pool)] == ["ok"]
