"""The models on the size axis: every name readable, however near two sizes are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bench.reporting import text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_GAP = 0.012
"""Least distance between two labels, as a share of the axis."""
_DROP = 0.045
"""How far below the axis slanted labels begin, as a share of its height: room for the leaders."""


def label_models(axes: Axes, sizes: Mapping[str, int]) -> None:
    """Put names and sizes of the models below a logarithmic x axis whose limits are set.

    Names stand below their size; where they would touch, they are slanted, moved apart, and led to
    their size by a thin line.
    """
    if not sizes:
        axes.set_xticks([])
        return
    models = sorted(sizes.items(), key=lambda item: (item[1], item[0]))
    axes.set_xticks(sorted(set(sizes.values())), labels=[])
    axes.minorticks_off()
    axes.tick_params(axis="x", bottom=True, length=3.5, color="0.35")
    low, high = (math.log10(limit) for limit in axes.get_xlim())
    places = [(math.log10(size) - low) / (high - low) for _, size in models]
    texts = [_upright(axes, place, *model) for place, model in zip(places, models, strict=True)]
    if _touch(axes, texts):
        for label in texts:
            label.remove()
        texts = _slanted(axes, places, models)
    pixels = axes.bbox.y0 - min(label.get_window_extent().y0 for label in texts)
    words = (
        "parameters of the base model (log scale)" if len(sizes) > 1 else "base model (the methods stand side by side)"
    )
    axes.set_xlabel(words, labelpad=pixels * 72 / axes.figure.dpi + 2)


def _upright(axes: Axes, place: float, name: str, size: int) -> Text:
    words = f"{text.wrap(name, 26)}\n{text.short_count(size)}"
    return axes.text(place, -0.025, words, transform=axes.transAxes, ha="center", va="top", fontsize="small")


def _slanted(axes: Axes, places: Sequence[float], models: Sequence[tuple[str, int]]) -> list[Text]:
    from matplotlib.font_manager import FontProperties

    texts = []
    size = FontProperties(size="small").get_size_in_points()
    line_height = 2.2 * size * axes.figure.dpi / 72 / axes.bbox.width
    for place, moved, (name, parameters) in zip(places, spread(places, line_height), models, strict=True):
        axes.plot(
            [place, moved],
            [-0.005, 0.01 - _DROP],
            transform=axes.transAxes,
            color="0.6",
            linewidth=0.7,
            clip_on=False,
        )
        texts.append(
            axes.text(
                moved,
                -_DROP,
                f"{name} ({text.short_count(parameters)})",
                transform=axes.transAxes,
                ha="right",
                va="top",
                rotation=35,
                rotation_mode="anchor",
                fontsize="small",
            )
        )
    return texts


def _touch(axes: Axes, texts: Sequence[Text]) -> bool:
    boxes = [label.get_window_extent() for label in texts]
    gap = _GAP * axes.bbox.width
    return any(right.x0 - left.x1 < gap for left, right in pairwise(boxes))


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move sorted places apart until neighbours are ``gap`` from each other, as little as can be: by least squares."""
    from scipy.optimize import isotonic_regression

    laid = gap * np.arange(len(places))
    return [float(place) for place in isotonic_regression(np.subtract(places, laid)).x + laid]
