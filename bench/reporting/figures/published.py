"""Curves that others have published, to lay over ours. Facts, with their source; other tasks than ours."""

from __future__ import annotations

from bench.core.entries import Entry

# Lester et al. (2021), T5 1.1 (LM-adapted), Small to XXL, 100 virtual tokens; SuperGLUE, development set. No point is
# measured off a drawn curve: the scores are those of a table, number 4 of Vu et al. (2022), SPoT, which gives the same
# runs. But the table came to us as recognised text of a scan, in which a digit may be wrong, and was not held against
# a second source: the figure says so. Check them before a figure with them is published. Sizes are the exact
# parameter counts of the frozen models.
SIZES = (76_961_152, 247_577_856, 783_150_080, 2_849_757_184, 11_135_332_352)
SOURCE = (
    "T5 on SuperGLUE, Lester et al. (2021); scores of table 4 of Vu et al. (2022), from recognised text of a scan, "
    "not checked"
)
"""What the legend says of the curves: whose they are, and how far the numbers can be relied on."""
LESTER_2021 = {
    "prompt tuning (T5)": (0.598, 0.631, 0.745, 0.792, 0.888),
    "full fine-tuning (T5)": (0.628, 0.737, 0.813, 0.831, 0.899),
    "prompt design (T5)": (0.406, 0.434, 0.451, 0.478, 0.528),
}

TASKS = ("boolq", "cb", "copa", "rte", "wic", "wsc")
"""The tasks of SuperGLUE whose own score is accuracy, or that and another."""


def comparable(dataset: Entry, metric: str) -> bool:
    """Whether scores may stand beside the published ones: accuracy on one of the tasks that those are means over."""
    return metric == "accuracy" and bool({dataset.name, dataset.label, str(dataset.options.get("config"))} & {*TASKS})
