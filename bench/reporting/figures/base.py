"""The contract of a figure: a configuration, and what it draws of the cells of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from bench.core.config import Config
from bench.core.labels import slug
from bench.reporting.cells import CellResults
from bench.reporting.figures.canvas import (
    STYLES,
    Form,
    Style,
    StyleName,
    figure_style,
    lay_out,
    method_styles,
    put_note,
    render,
)
from bench.reporting.figures.fonts import fonts_for
from bench.reporting.figures.numbering import numbered

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.transforms import Bbox


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

    def title(self, cells: Sequence[CellResults]) -> str:
        """Say what is seen in the figure of these cells."""
        raise NotImplementedError

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


def stem(name: str, suffix: str) -> str:
    """Return the name of a figure's file without the ending; ``suffix`` is a key of its groups."""
    return f"{name}-{slug(suffix)}" if suffix else name


def sections(cells: Iterable[CellResults]) -> dict[str, list[CellResults]]:
    """Split cells by data set and metric; the key tells them apart, and is empty if there is one alone."""
    groups: dict[tuple[str, str], list[CellResults]] = {}
    for cell in cells:
        groups.setdefault((cell.dataset, cell.metric), []).append(cell)
    datasets = [dataset for dataset, _ in groups]
    several = len(set(datasets)) > 1
    named = {}
    for (dataset, metric), members in groups.items():
        parts = ([dataset] if several else []) + ([metric] if datasets.count(dataset) > 1 else [])
        named["-".join(parts)] = members
    return named


__all__ = ["STYLES", "Drawing", "Figure", "NoData", "StyleName", "sections", "stem"]
