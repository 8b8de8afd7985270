"""Metrics, through `evaluate` modules that load without a network. ``bench list metrics`` lists them."""

from bench.core.registry import Registry
from bench.metrics.base import Metric

metrics: Registry[Metric] = Registry(
    "metric",
    base="bench.metrics.base:Metric",
    builtin={
        "accuracy": "bench.metrics.accuracy:Accuracy",
        "f1_macro": "bench.metrics.f1_macro:F1Macro",
        "mcc": "bench.metrics.mcc:MatthewsCorrelation",
        "hub": "bench.metrics.hub:Hub",
    },
)

__all__ = ["Metric", "metrics"]
