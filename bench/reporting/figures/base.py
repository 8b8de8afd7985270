"""The contract of a figure: a configuration, and what it draws of the cells of a comparison."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from bench.core.config import Config
from bench.core.grouping import grouped
from bench.core.labels import slug
from bench.reporting.cells import CellResults
from bench.reporting.figures.canvas import (
    Form,
    Style,
    StyleName,
    figure_style,
    label_outer,
    lay_out,
    method_styles,
    model_title,
    panels,
    put_legend,
    put_note,
    render,
    score_on_test,
)
from bench.reporting.figures.fonts import fonts_for
from bench.reporting.figures.numbering import numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.transforms import Bbox


Found = TypeVar("Found")
Member = tuple[CellResults, Found]
"""A cell, and what a figure shows of it."""

NUMBERED = "Names are numbered, for no installed font has their letters; which is which is said beside the figure."


class NoData(Exception):
    """The records hold nothing that this figure could show; the message says what is missing."""


@dataclass(frozen=True)
class Drawing:
    """A figure that has been drawn."""

    stem: str
    """Name of its file without the suffix: ``scale``, or ``scale-boolq`` where there are several data sets."""
    title: str
    """What is seen, in a line."""
    canvas: Canvas
    about: str
    """How to read it."""
    style: StyleName
    """The medium that it was drawn for."""
    box: Bbox
    """What of the canvas there is to see, in inches."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The labels of things that it numbers, for no installed font has their letters."""
    alt: str = ""
    """What it shows, in words, for who cannot see it."""

    @cached_property
    def _files(self) -> dict[Form, bytes]:
        return {}

    def file(self, form: Form) -> bytes:
        """Return the drawing as a file, which is made once: a report needs it beside the page and in it."""
        if form not in self._files:
            self._files[form] = render(self.canvas, form, self.style, self.box)
        return self._files[form]


class Figure(Config):
    """A figure; fields of a subclass are its options, the first line of its docstring says what it shows."""

    about: ClassVar[str] = ""
    """How to read the figure, for the page: a sentence or two."""
    seen: ClassVar[str]
    """The title, where `title` says no more, with ``{dataset}``, ``{metric}`` and ``{objective}`` of the cells."""

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say what is seen in the figure of these cells."""
        first = cells[0]
        return self.seen.format(dataset=first.dataset, metric=first.metric, objective=first.settings.objective)

    def alt(self, cells: Sequence[CellResults]) -> str:
        """Say in words what the figure of these cells shows."""
        return f"{self.title(cells)}; the numbers are in the tables of the report"

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw a group of cells; seaborn's style is set around the call.

        Args:
            cells: a group of `groups`.
            styles: colour, line and marker of every method of the report, by its label.

        Raises:
            NoData: the cells hold nothing to show.
        """
        raise NotImplementedError

    def words(self, cells: Iterable[CellResults]) -> Iterator[str]:
        """Yield the names that may be in any script: fonts are chosen by their letters."""
        for cell in cells:
            yield from (*cell.labels, cell.metric)

    def groups(self, cells: Sequence[CellResults]) -> dict[str, list[CellResults]]:
        """Split all cells into what one figure can hold, by what is added to the name of its file."""
        return sections(cells)

    def drawings(
        self, name: str, cells: Sequence[CellResults], style: StyleName = "paper", most: int | None = None
    ) -> Iterator[Drawing | str]:
        """Yield each drawing of the results, or the reason why a group has none.

        Args:
            name: what the figure is registered as; names its files.
            cells: all cells of the results.
            style: the medium that text and lines are sized for.
            most: draw so many groups at most.
        """
        styles = method_styles(cell.method for cell in cells)
        for suffix, group in islice(self.groups(cells).items(), most):
            fonts = fonts_for(self.words(group))
            shown, names = numbered(group, fonts.missing)
            of_numbers = {new.method: styles[old.method] for new, old in zip(shown, group, strict=True)}
            with figure_style(style, fonts.families):
                try:
                    canvas = self.draw(shown, styles | of_numbers)
                    box = lay_out(canvas)
                except NoData as reason:
                    yield f"{suffix}: {reason}" if suffix else str(reason)
                    continue
                if names:
                    box = put_note(canvas, box, f"{NUMBERED} Install {fonts.packages} (Debian, Ubuntu) and draw again.")
            title, file = self.title(group), stem(name, suffix)
            yield Drawing(file, title, canvas, self.about, style, box, names, self.alt(group))


class PanelAModel(Figure, Generic[Found]):
    """A figure with a panel a model; subclasses say what there is to see of a cell, and draw a panel of it."""

    lacking: ClassVar[str]
    """What the records do not hold where no cell has anything to show."""
    across: ClassVar[str]
    """Label of the x axis."""

    @abstractmethod
    def _found(self, cell: CellResults) -> Found | None:
        """Return what there is to see of a cell; None where there is nothing."""
        raise NotImplementedError

    @abstractmethod
    def _panel(self, axes: Axes, members: Sequence[Member[Found]], styles: Mapping[str, Style]) -> None:
        """Draw the cells of one panel."""
        raise NotImplementedError

    def _up(self, cell: CellResults) -> str:
        """Return the label of the y axis, by any of the cells: their score on test."""
        return score_on_test(cell)

    def _panels(self, members: Sequence[Member[Found]]) -> dict[str, list[Member[Found]]]:
        """Split what there is to see into panels."""
        return grouped(members, lambda member: member[0].model)

    def _heading(self, name: str, members: Sequence[Member[Found]]) -> str:
        """Return the title of a panel."""
        return model_title(name, members[0][0].base_parameters)

    def _size(self, panels: Mapping[str, Sequence[Member[Found]]]) -> dict[str, Any]:
        """Return what `panels` is told of the size of one."""
        return {}

    def _legend(self, canvas: Canvas, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> None:
        """Put a legend at the right: the methods."""
        put_legend(canvas, [cell.method for cell in cells], styles)

    def draw(self, cells: Sequence[CellResults], styles: Mapping[str, Style]) -> Canvas:
        """Draw the panels that have anything to show."""
        places = self._panels([(cell, found) for cell in cells if (found := self._found(cell)) is not None])
        if not places:
            raise NoData(self.lacking)
        canvas, axes = panels(len(places), self.title(cells), **self._size(places))
        for panel, (name, members) in zip(axes, places.items(), strict=True):
            self._panel(panel, members, styles)
            panel.set_title(self._heading(name, members), fontsize="medium")
        self._legend(canvas, [cell for members in places.values() for cell, _ in members], styles)
        label_outer(axes, self.across, self._up(cells[0]))
        return canvas


def stem(name: str, suffix: str) -> str:
    """Return the name of a figure's file without the ending; ``suffix`` is a key of its groups."""
    return f"{name}-{slug(suffix)}" if suffix else name


def sections(cells: Iterable[CellResults]) -> dict[str, list[CellResults]]:
    """Split cells by data set and metric; the key tells them apart, and is empty if there is one alone."""
    groups = grouped(cells, lambda cell: (cell.dataset, cell.metric))
    datasets = [dataset for dataset, _ in groups]
    several = len(set(datasets)) > 1
    named = {}
    for (dataset, metric), members in groups.items():
        parts = ([dataset] if several else []) + ([metric] if datasets.count(dataset) > 1 else [])
        named["-".join(parts)] = members
    return named
