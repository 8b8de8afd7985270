"""Each tracker, read back by its own library."""

from __future__ import annotations

import pytest
from demo import Pretend, Strict, demo_plan, drive, ended, with_curve

from bench.trackers import trackers
from bench.trackers.feed import Feed


def track(tmp_path, name, **options):
    """Run the demo (one good trial, one that runs out of memory, a final) with a tracker."""

    def play(spec):
        if spec.kind == "trial" and spec.number == 1:
            return ended(spec, status="oom", reason="out of memory", validation_curve=[])
        return with_curve(spec)

    planned = demo_plan(tmp_path, study={"trials": 2}, finals={"seeds": 1})
    tracker = trackers.build(name, options, name)
    tracker.check()
    return drive(planned, Pretend(specs=[], play=play), Feed(Strict(), {name: tracker}, tmp_path, "demo"))


def test_tensorboard_reads_its_event_files(tmp_path):
    pytest.importorskip("tensorboard", reason="pip install 'promptscale[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track(tmp_path, "tensorboard")
    runs = {path.parent.name: path.parent for path in (tmp_path / "tensorboard").rglob("events.*")}
    assert {name[:11] for name in runs} == {"trial-00000", "trial-00001", "final-00000"}
    final = EventAccumulator(str(next(path for name, path in runs.items() if name.startswith("final")))).Reload()
    assert [(e.step, e.value) for e in final.Scalars("train/loss")] == [(1, 1.0), (2, 0.5)]
    assert len(final.Scalars("test/accuracy")) == 1
    assert "status/text_summary" in final.Tags()["tensors"]
    assert "_hparams_/session_start_info" in final.summary_metadata


def test_mlflow_reads_its_runs(tmp_path):
    pytest.importorskip("mlflow", reason="pip install 'promptscale[mlflow]'")
    from mlflow import MlflowClient

    engine = track(tmp_path, "mlflow")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("demo")
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(found) == {spec.title for spec in engine.specs}
    states = {run.data.tags["kind"] + run.data.tags["number"]: run.info.status for run in found.values()}
    assert states == {"trial0": "FINISHED", "trial1": "FAILED", "final0": "FINISHED"}
    final = found[engine.specs[-1].title]
    history = client.get_metric_history(final.info.run_id, "train/loss")
    assert sorted((metric.step, metric.value) for metric in history) == [(1, 1.0), (2, 0.5)]
    assert "test/accuracy" in final.data.metrics
    assert final.data.params["learning_rate"] == str(engine.specs[-1].params["learning_rate"])


def test_trackio_reads_its_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    pytest.importorskip("trackio", reason="pip install 'promptscale[trackio]'")
    from trackio.sqlite_storage import SQLiteStorage

    engine = track(tmp_path, "trackio")
    names = SQLiteStorage.get_runs("demo")
    assert len(names) == len(engine.specs)
    logs = SQLiteStorage.get_logs("demo", next(name for name in names if name.endswith("final-0")))
    assert sorted(row["train/loss"] for row in logs if "train/loss" in row) == [0.5, 1.0]
