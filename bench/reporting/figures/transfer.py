"""Scores on data sets that nothing was trained on, beside those of whoever was trained there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.reporting import text
from bench.reporting.cells import CellResults, Transfer
from bench.reporting.figures.base import Figure, NoData
from bench.reporting.figures.canvas import Style, model_title, panels, put_handles, split_word

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_MOST_PANELS = 18
"""More than that fit on no page; the largest models are shown."""
_GREY = "0.45"

Pair = tuple[str, str]
"""Labels of the data set that was trained on and of the one that was tested on."""


class Transfers(Figure):
    """Zero-shot transfer: finals tested on another data set than they were trained on, by model and method."""

    about: ClassVar[str] = (
        "A → B is trained on A and tested on B, with nothing trained further (Lester et al., 2021, section 5); each "
        "data set is asked with its own template and label words. Filled points are means over seeds, bars one "
        "standard deviation to either side. A hollow point is the same method trained on B: the line to it is what "
        "the shift costs, or gains. An upright stroke is the score on the test split of A. These tests keep no "
        "predictions, so nothing is said about which differences are chance."
    )

    def groups(self, cells: Sequence[CellResults]) -> dict[str, list[CellResults]]:
        """Take all cells together: what was trained on one data set is compared with what was trained on another."""
        return {"": list(cells)}

    def words(self, cells: Iterable[CellResults]) -> Iterator[str]:
        """Yield the names of the data sets that were tested on too."""
        yield from super().words(cells)
        yield from (transfer.dataset for cell in cells for transfer in cell.transfers)

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say from where to where, and which models are left out."""
        found, models, pairs, shown = _places(cells)
        metrics = {transfer.metric for _, transfer in found}
        what = next(iter(metrics)) if len(metrics) == 1 else "score"
        if len(pairs) == 1:
            ((source, target),) = pairs
            said = f"{what} on {target} of what was trained on {source}"
        else:
            said = f"{what} on another data set than was trained on"
        left_out = f", the {len(shown)} largest of {len(models)} models" if len(shown) < len(models) else ""
        return f"Transfer: {said}{left_out}"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw all cells that were transferred."""
        found, _, pairs, shown = _places(cells)
        if not found:
            raise NoData("no final was tested on another data set ('transfer:' below a data set of the experiment)")
        methods = sorted({cell.method for cell, _ in found}, reverse=True)
        labels = [text.wrap(method, 24) for method in methods]
        lines = max(label.count("\n") + 1 for label in labels)
        height = max(0.29, 0.16 * lines + 0.08) * len(methods) + 1.25
        across = min(3, len(pairs)) if len(pairs) > 1 else 3
        figure, axes = panels(len(shown) * len(pairs), self.title(cells), height=height, columns=across)
        trained = {(cell.model, cell.dataset, cell.method, cell.metric): cell for cell in cells}
        places = [(model, pair) for model in shown for pair in pairs]
        for panel, (model, pair) in zip(axes, places, strict=True):
            of_pair = [(c, t) for c, t in found if (c.dataset, t.dataset) == pair and c.model in (model, _none(c))]
            for cell, transfer in of_pair:
                there = trained.get((cell.model, transfer.dataset, cell.method, transfer.metric))
                _row(panel, methods.index(cell.method), cell, transfer, there, styles[cell.method])
            _frame(panel, labels, of_pair[0][1] if of_pair else None)
            size = next((c.base_parameters for c, _ in of_pair if c.model == model), None)
            name = [] if model is None else [model_title(model, size)]
            panel.set_title("\n".join([text.wrap(f"{pair[0]} → {pair[1]}", 32), *name]), fontsize="medium")
        _legend(figure)
        return figure


def _places(
    cells: Sequence[CellResults],
) -> tuple[list[tuple[CellResults, Transfer]], list[str | None], list[Pair], list[str | None]]:
    """Return what was transferred, the models, smallest first, the pairs, and the models that are shown.

    The only model is None where only methods without one were transferred.
    """
    found = [(cell, transfer) for cell in cells for transfer in cell.transfers if transfer.mean is not None]
    pairs = list(dict.fromkeys((cell.dataset, transfer.dataset) for cell, transfer in found))
    sizes = {cell.model: cell.base_parameters or 0 for cell, _ in found if cell.uses_model}
    models: list[str | None] = [*sorted(sizes, key=lambda model: (sizes[model], model))] or [None]
    return found, models, pairs, models[-max(1, _MOST_PANELS // max(1, len(pairs))) :]


def _none(cell: CellResults) -> str | None:
    """Return the label that a method without a model bears: such a method stands in every panel."""
    return None if cell.uses_model else cell.model


def _row(axes: Axes, row: int, cell: CellResults, transfer: Transfer, there: CellResults | None, style: Style) -> None:
    """Draw a method: transferred, trained where it is tested, and where it was trained."""
    assert transfer.mean is not None
    if cell.metric == transfer.metric and cell.mean is not None:
        axes.plot([cell.mean], [row], "|", color=_GREY, markersize=11, markeredgewidth=1.4)
    if there is not None and there.mean is not None:
        axes.plot([transfer.mean, there.mean], [row, row], color=style.colour, linewidth=1.2, alpha=0.55)
        axes.plot([there.mean], [row], style.marker, color=style.colour, markerfacecolor="white", markersize=6.5)
    axes.errorbar(
        [transfer.mean],
        [row],
        xerr=[transfer.sd or 0.0],
        fmt=style.marker,
        color=style.colour,
        markersize=6.5,
        capsize=2.5,
        elinewidth=1.1,
    )


def _frame(axes: Axes, labels: Sequence[str], transfer: Transfer | None) -> None:
    place = axes.get_subplotspec()
    first = place is not None and place.colspan.start == 0
    axes.set_yticks(range(len(labels)), labels=labels if first else [""] * len(labels), fontsize="small")
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.margins(x=0.12)
    if transfer is not None:
        axes.set_xlabel(
            text.wrap(f"{transfer.metric} on {transfer.dataset}{split_word(transfer.greater_is_better)}", 34),
            fontsize="small",
        )


def _legend(figure: Canvas) -> None:
    from matplotlib.lines import Line2D

    kinds = (
        ("o", _GREY, "A → B: trained on A, tested on B"),
        ("o", "white", "trained on B, tested on B"),
        ("|", _GREY, "trained on A, tested on A"),
    )
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=marker,
            color=_GREY,
            markerfacecolor=face,
            markersize=10 if marker == "|" else 6.5,
            label=text.wrap(label, 28),
        )
        for marker, face, label in kinds
    ]
    put_handles(figure, handles)
