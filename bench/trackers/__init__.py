"""Trackers: where else a run is shown while it goes on. Records stay the truth; a tracker only looks on.

A tracker is a plug-in like a method: a package of its own adds one by the entry-point group ``bench.trackers``.
"""

from bench.core.registry import Registry
from bench.trackers.base import Board, RunLog, Tracker

trackers: Registry[Tracker] = Registry(
    "tracker",
    base="bench.trackers.base:Tracker",
    builtin={
        "tensorboard": "bench.trackers.tensorboard:TensorBoard",
        "mlflow": "bench.trackers.mlflow:MLflow",
        "trackio": "bench.trackers.trackio:Trackio",
    },
)

__all__ = ["Board", "RunLog", "Tracker", "trackers"]
