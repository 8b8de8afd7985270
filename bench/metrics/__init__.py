"""Metrics, through `evaluate` modules that load without a network. ``bench list metrics`` lists them."""

from bench.core.registry import Registry
from bench.metrics.base import BaseMetric, Metric
from bench.metrics.text.base import TextMetric

metrics: Registry[BaseMetric] = Registry(
    "metric",
    base="bench.metrics.base:BaseMetric",
    builtin={
        "accuracy": "bench.metrics.labels:Accuracy",
        "f1_macro": "bench.metrics.labels:F1Macro",
        "mcc": "bench.metrics.labels:MatthewsCorrelation",
        "nll": "bench.metrics.likelihood:NegativeLogLikelihood",
        "bits_per_byte": "bench.metrics.likelihood:BitsPerByte",
        "rouge_1": "bench.metrics.text.rouge:Rouge1",
        "rouge_2": "bench.metrics.text.rouge:Rouge2",
        "rouge_l": "bench.metrics.text.rouge:RougeL",
        "bleu": "bench.metrics.text.corpus:Bleu",
        "chrf": "bench.metrics.text.corpus:Chrf",
        "exact_match": "bench.metrics.text.squad:ExactMatch",
        "f1_squad": "bench.metrics.text.squad:F1Squad",
        "exact_number": "bench.metrics.text.number:ExactNumber",
        "hub": "bench.metrics.hub:Hub",
    },
)

__all__ = ["BaseMetric", "Metric", "TextMetric", "metrics"]
