"""From results to the page: what it says is gathered here, how it looks stands in the template.

All text of records goes through the template's autoescape, or through Markdown that was escaped and is
rendered with raw HTML switched off. Nothing else becomes markup.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from bench.reporting import origin, sentences, text
from bench.reporting.columns import Column, all_columns
from bench.reporting.figures import Drawing, figures, in_order, sections
from bench.reporting.figures.numbering import said
from bench.reporting.figures.scale import Scale
from bench.reporting.folders import Results
from bench.reporting.frame import plain_rows
from bench.reporting.page import glossary
from bench.reporting.page.runs import run_rows, samples, written_samples
from bench.reporting.page.tables import statistics_tables
from bench.reporting.writers import legend

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Template
    from markupsafe import Markup


MOST_DRAWINGS = 36
"""More than that make a page that takes minutes to draw and that no phone opens."""

_HALF = 10.0
"""Inches of a figure that half the width of a page has room for: its text is shown at 8 pixels and more there."""


def html_page(
    results: Results, summary: pd.DataFrame, known: Mapping[str, Sequence[Drawing | str]] | None = None
) -> str:
    """Return the page of some results, complete: styles, script, figures and all.

    Args:
        results: what to show.
        summary: of all its cells.
        known: all drawings (or why there are none) of the figures that are drawn already, by name.
    """
    pictures, absent = _drawings(results, known or {})
    rows, left_out = run_rows(results.cells)
    columns = all_columns(summary)
    return _template().render(
        title=" + ".join(origin.names(results)),
        descriptions=list(dict.fromkeys(_descriptions(results))),
        resolutions=_inline(sentences.resolutions(results.cells)),
        cautions=_inline(sentences.cautions(results)),
        sections=[
            (Scale().title(cells), glossary.explained(_inline(sentences.verdicts(cells))))
            for cells in sections(results.cells).values()
        ],
        glossary=[(term.name, term.meaning) for term in glossary.TERMS],
        too_few=_inline(sentences.too_few(results.cells)),
        scale=[picture for picture in pictures if picture["name"] == "scale"],
        pictures=[picture for picture in pictures if picture["name"] != "scale"],
        absent=absent,
        headings=[(column, _looks(column)) for column in columns],
        column_meanings=[(column.heading, column.meaning) for column in columns if column.meaning],
        rows=[[_cell(column, row) for column in columns] for row in plain_rows(summary)],
        legend=legend(summary),
        statistics=statistics_tables(results.cells),
        runs=rows,
        runs_left_out=left_out,
        failures=_inline(sentences.failures(results.cells)),
        pruned=_inline([line] if (line := sentences.pruned(results.cells)) else []),
        samples=samples(results.cells),
        written=written_samples(results.cells),
        provenance=_inline([*origin.provenance(results), origin.versions(results.records)]),
        commands=[m.command for m in results.manifests if m.command is not None],
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _inline(lines: Iterable[str]) -> list[Markup]:
    """Render lines of escaped Markdown; raw HTML in them would stay text."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    # Names become no links: of the syntax only emphasis and escapes are switched on.
    markdown = MarkdownIt("zero").enable(["emphasis", "escape", "entity"])
    return [Markup(markdown.renderInline(line)) for line in lines]


def _descriptions(results: Results) -> Iterator[str]:
    for manifest in results.manifests:
        description = text.one_line(str(manifest.experiment.get("description") or ""), 2000)
        if description:
            yield description


def _drawings(
    results: Results, known: Mapping[str, Sequence[Drawing | str]]
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Draw every figure that has data; return the others with the reason why they are not there.

    What is drawn already, the scale figures, is all there. Of many data sets the first ones have the other figures.
    """
    drawn: list[dict[str, Any]] = []
    absent: list[tuple[str, str]] = []
    for name in in_order():
        shares = MOST_DRAWINGS if name in known else max(1, MOST_DRAWINGS // len(in_order()))
        figure = figures.get(name)()
        groups = len(figure.groups(results.cells))
        if groups > shares:
            absent.append((name, f"of {groups} drawings the first {shares} are shown; 'bench plot {name}' draws all"))
        made = known.get(name) or figure.drawings(name, results.cells, most=shares)
        for one in islice(made, shares):
            if isinstance(one, Drawing):
                drawn.append(_picture(name, one))
            else:
                absent.append((name, one))
    return drawn, absent


def _picture(name: str, drawing: Drawing) -> dict[str, Any]:
    return {
        "name": name,
        "title": drawing.title,
        "alt": drawing.alt,
        "about": f"{drawing.about} Here {said(drawing.names)}." if drawing.names else drawing.about,
        "wide": drawing.box.width > _HALF,  # its text is too small to read at half the width of a page
        # A data URI: an image can run no script.
        "source": f"data:image/svg+xml;base64,{base64.b64encode(drawing.file('svg')).decode()}",
    }


def _cell(column: Column, row: dict[str, Any]) -> dict[str, Any]:
    """Return a cell of the table: its text, what it sorts by, and its mark."""
    shown = column.value(row)
    mark = ""
    if column.is_score:
        mark = row["standing"] or ("within" if row["gap_to_best"] == "within" else "")
    return {
        "text": shown,
        "sort": shown if column.sort is None else row[column.sort],
        "looks": _looks(column),
        "mark": mark,
    }


def _looks(column: Column) -> str:
    """Return the style classes of a column; what is for the screen alone is not printed."""
    return " ".join(["number"] * column.number + ["screen"] * (not column.on_paper))
