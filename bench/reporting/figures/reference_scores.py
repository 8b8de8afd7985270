"""Reference scores in the figure ``scale``: grey, and named after their source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import TYPE_CHECKING, Any

from bench.core.grouping import grouped
from bench.reporting import text
from bench.reporting.references import References, ReferenceScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREYS = ("0.35", "0.6")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def reference_sizes(references: Iterable[References], network: str | None) -> dict[str, int]:
    """Return the models that stand in the panel of a kind of models, with their sizes."""
    scores = (score for one in references for score in _in_panel(one, network))
    return {score.model: score.parameters for score in scores if score.parameters}


def draw_references(axes: Axes, references: Iterable[References], network: str | None) -> list[Any]:
    """Draw the scores of a panel, a line a method of a source, hollow; return the handles of a legend."""
    from matplotlib.lines import Line2D

    handles: list[Any] = []
    looks = cycle((colour, marker) for marker in _MARKERS for colour in _GREYS)
    for one in references:
        methods = grouped(_in_panel(one, network), lambda score: score.method)
        for method, scores in methods.items():
            colour, marker = next(looks)
            sized = sorted((score.parameters, score) for score in scores if score.parameters)
            if sized:
                drawn = axes.errorbar(
                    [size for size, _ in sized],
                    [score.score for _, score in sized],
                    yerr=[score.sd or 0.0 for _, score in sized],
                    color=colour, marker=marker, markerfacecolor="white", linestyle=":", linewidth=1.2, elinewidth=0.9,
                    zorder=1.8, label=_label(method, [score for _, score in sized], one.source),
                )  # fmt: skip
                handles.append(drawn)
            for score in scores:
                if not score.parameters:
                    label = _label(method, [score], one.source)
                    handles.append(axes.axhline(score.score, color=colour, linestyle=":", linewidth=1.2, label=label))
    if handles:
        handles.insert(0, Line2D([], [], linestyle="none", label="Grey: not measured by us"))
    return handles


def _in_panel(one: References, network: str | None) -> Iterator[ReferenceScore]:
    return (score for score in one.scores if network is None or score.network in (None, network))


def _label(method: str, scores: list[ReferenceScore], source: str) -> str:
    models = ", ".join(score.model for score in scores)
    return text.wrap(f"{method}, {models}; {source}", 36)
