"""Curves that others have published, to lay over ours. Facts, with their source; other tasks than ours."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.entries import Entry


@dataclass(frozen=True)
class PublishedCurve:
    """A published curve."""

    label: str
    sizes: tuple[int, ...]
    """Parameters of the base models."""
    scores: tuple[float, ...]
    """In percent."""


# Lester et al. (2021), T5 1.1 (LM-adapted), Small to XXL, 100 virtual tokens; SuperGLUE, development set. No point is
# measured off a drawn curve: the scores are those of a table, number 4 of Vu et al. (2022), SPoT, which gives the same
# runs. But the table came to us as recognised text of a scan, in which a digit may be wrong, and was not held against
# a second source: the figure says so. Check them before a figure with them is published. Sizes are the exact
# parameter counts of the frozen models.
_SIZES = (76_961_152, 247_577_856, 783_150_080, 2_849_757_184, 11_135_332_352)
SOURCE = (
    "T5 on SuperGLUE, Lester et al. (2021); scores of table 4 of Vu et al. (2022), from recognised text of a scan, "
    "not checked"
)
"""What the legend says of the curves: whose they are, and how far the numbers can be relied on."""
LESTER_2021 = (
    PublishedCurve("prompt tuning (T5)", _SIZES, (59.8, 63.1, 74.5, 79.2, 88.8)),
    PublishedCurve("full fine-tuning (T5)", _SIZES, (62.8, 73.7, 81.3, 83.1, 89.9)),
    PublishedCurve("prompt design (T5)", _SIZES, (40.6, 43.4, 45.1, 47.8, 52.8)),
)

TASKS = ("boolq", "cb", "copa", "rte", "wic", "wsc")
"""The tasks of SuperGLUE whose own score is accuracy, or that and another."""


def comparable(dataset: Entry, metric: str) -> bool:
    """Whether scores may stand beside the published ones: accuracy on one of the tasks that those are means over."""
    return metric == "accuracy" and bool({dataset.name, dataset.label, str(dataset.options.get("config"))} & {*TASKS})
