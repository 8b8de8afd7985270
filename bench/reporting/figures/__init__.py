"""Figures: one file a figure, drawn from cells alone; ``bench plot`` draws one, a report all that have data.

A figure is a plug-in like a method: a package of its own adds one by the entry-point group
``bench.figures``.
"""

from bench.core.registry import Registry
from bench.reporting.figures.base import Drawing, Figure, NoData, sections, stem

BUILTIN = {
    "scale": "bench.reporting.figures.scale:Scale",
    "prompt_length": "bench.reporting.figures.prompt_length:PromptLength",
    "initialisation": "bench.reporting.figures.initialisation:Initialisation",
    "learning_rate": "bench.reporting.figures.searched:LearningRate",
    "searched_length": "bench.reporting.figures.searched:SearchedLength",
    "cost": "bench.reporting.figures.cost:Cost",
    "trade_off": "bench.reporting.figures.trade_off:TradeOff",
    "curves": "bench.reporting.figures.curves:Curves",
    "expected_best": "bench.reporting.figures.expected_best:ExpectedBest",
    "importance": "bench.reporting.figures.importance:ParameterImportance",
    "few_shot": "bench.reporting.figures.few_shot:FewShot",
    "shots": "bench.reporting.figures.shots:Shots",
    "transfer": "bench.reporting.figures.transfer:Transfers",
    "ensemble": "bench.reporting.figures.ensemble:Ensemble",
    "retention": "bench.reporting.figures.retention:RetentionLoss",
    "memory": "bench.reporting.figures.memory:Memory",
    "confusion": "bench.reporting.figures.confusion:Confusion",
    "ranks": "bench.reporting.figures.ranks:MeanRanks",
}

figures: Registry[Figure] = Registry(
    "figure",
    base="bench.reporting.figures.base:Figure",
    builtin=BUILTIN,
)


def in_order() -> list[str]:
    """Return the names of all figures in the order of a report: ours as they stand above, then those of plug-ins."""
    return [*BUILTIN, *(name for name in figures.names() if name not in BUILTIN)]


__all__ = ["Drawing", "Figure", "NoData", "figures", "in_order", "sections", "stem"]
