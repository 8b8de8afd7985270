"""The ray engine on a cluster of several nodes in this machine."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="pip install 'promptscale[ray]'")

from bench.core.errors import Unavailable  # noqa: E402
from bench.engines.ray_actors import Ray  # noqa: E402 - it is there or the file is skipped
from bench.testing import EngineContract  # noqa: E402
from bench.testing.scripted import executions, scripted_spec  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(num_cpus=4)
        ray.init(address=cluster.address, namespace="promptscale", log_to_driver=False)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.usefixtures("cluster")
class TestRay(EngineContract):
    engine = Ray

    def test_ray_repeats_nothing_by_itself(self, pool, heard, tmp_path):
        spec = scripted_spec(tmp_path, 3, "die", after=0.2)
        (record,) = self.run(pool, [spec], tmp_path).values()
        assert record.reason.startswith("the worker on the cluster died: ")
        assert heard.values[3] == [3.1]
        assert len(executions(tmp_path, spec)) == 1

    def test_a_node_that_goes_down_in_the_middle_takes_its_trials_alone(self, pool, heard, cluster, tmp_path):
        elsewhere = cluster.add_node(num_cpus=1)
        pool.close()  # the places on the first node are to be free for what is lost on the other
        waiting = [scripted_spec(tmp_path, number, "pause", seconds=600) for number in range(2)]
        for spec in waiting:
            pool.submit(spec, tmp_path)
            self.wait(pool, tmp_path, spec)
        for node in cluster.worker_nodes - {elsewhere}:
            cluster.remove_node(node, allow_graceful=False)
        lost = []
        while len(lost) < 1:
            lost += pool.poll(0.5)
        assert lost[0].status == "killed"
        pool.close()
        cluster.add_node(num_cpus=2)
        again = waiting[lost[0].spec.number].model_copy(update={"params": {"home": str(tmp_path), "do": "nothing"}})
        assert [record.status for record in self.run(pool, [again], tmp_path).values()] == ["ok"]


def test_a_cluster_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**options):
        raise ConnectionError("nobody\nanswers")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(Unavailable, match="no Ray cluster at head:6379: nobody answers"):
        Ray(address="head:6379").start(None)


def test_sigterm_stays_the_drivers_own(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: signal.signal(signal.SIGTERM, lambda *_: sys.exit(15)))
    before = signal.getsignal(signal.SIGTERM)
    try:
        Ray(address="head:6379").start(None)
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, before)
