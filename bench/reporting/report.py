"""A report: the table, the figure, and what they say, from the records of one or several folders.

Nothing in a report depends on when or where it is drawn: the same records give the same files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from bench.reporting import origin, sentences, text
from bench.reporting.figures import Drawing, sections, stem
from bench.reporting.figures.canvas import FORMS
from bench.reporting.figures.fonts import fonts_for
from bench.reporting.figures.numbering import numbered, said
from bench.reporting.figures.scale import Scale, drawable
from bench.reporting.folders import Results, collect
from bench.reporting.frame import results_frame
from bench.reporting.page import html_page
from bench.reporting.references import References, with_references
from bench.reporting.table import summarise_cells
from bench.reporting.writers import csv_table, latex_table, legend, markdown_table, write_files


def write_report(
    results: Sequence[str | Path] | Results,
    out: str | Path,
    summary: pd.DataFrame | None = None,
    references: Sequence[References] = (),
) -> Path:
    """Draw the report of one results folder, or of several that are merged, or of results that are already read.

    Writes ``report.md``, ``table.csv`` (a row a cell), ``runs.csv`` (a row a run) and the figure
    ``scale.png`` and ``scale.svg`` (``scale-<data set>`` where there are several).

    Args:
        results: folders, or what was read from them.
        out: folder to write into.
        summary: that of all cells, where it is known already.
        references: scores of others to stand beside ours (`bench.reporting.references.read_references`); they are rows
            of a summary that is given.

    Returns:
        The path of ``report.md``.

    Raises:
        BadInput: a folder is missing, is no results folder, holds no record that counts, or ``out`` cannot be written.
    """
    found = results if isinstance(results, Results) else collect(results)
    if summary is None:
        summary = with_references(summarise_cells(found.cells), references)
    return write_files(Path(out), _files(found, summary, references), "the report cannot be written there")[-1]


def _files(results: Results, summary: pd.DataFrame, references: Sequence[References]) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents; the report itself comes last, when all that it points to is there."""
    yield "table.csv", csv_table(summary).encode()
    yield "table.tex", latex_table(summary, ", ".join(origin.names(results))).encode()
    yield "runs.csv", csv_table(results_frame(results)).encode()
    scale = list(Scale(references=tuple(references)).drawings("scale", results.cells))
    for drawing in scale:
        if isinstance(drawing, Drawing):
            for form in FORMS:
                yield f"{drawing.stem}.{form}", drawing.file(form)
    yield "index.html", html_page(results, summary, {"scale": scale}).encode()
    yield "report.md", report_text(results, summary).encode()


def report_text(results: Results, summary: pd.DataFrame) -> str:
    """Return the report in Markdown; ``summary`` is that of all its cells."""
    return "\n\n".join(_paragraphs(results, summary)) + "\n"


def _paragraphs(results: Results, summary: pd.DataFrame) -> Iterator[str]:
    names = origin.names(results)
    yield f"# {text.markdown(' + '.join(names))}"
    for description in dict.fromkeys(str(m.experiment.get("description") or "") for m in results.manifests):
        if description.strip():
            yield text.markdown(description, width=2000)
    care = list(sentences.cautions(results))
    if care:
        yield "**Read with care.**\n\n" + _bullets(care)
    for suffix, cells in sections(results.cells).items():
        yield f"## {text.markdown(Scale().title(cells))}"
        yield _bullets(sentences.verdicts(cells))
        if drawable(cells):
            yield f"![{text.markdown(Scale().title(cells))}]({stem('scale', suffix)}.png)"
            _, numbers = numbered(cells, fonts_for(Scale().words(cells)).missing)
            if numbers:
                yield f"In the figure {text.markdown(said(numbers), width=2000)}."
        else:
            yield "No figure: no cell has a score and a known model size."
        unplaced = {cell.model for cell in cells if cell.uses_model and cell.scores and not cell.base_parameters}
        if unplaced:
            yield f"Not in the figure, for no record says how large it is: {origin.listed(unplaced)}."
        ours = (summary["dataset"] == cells[0].dataset) & (summary["metric"] == cells[0].metric)
        yield markdown_table(summary[ours]).rstrip()
    yield (
        f"{text.markdown(legend(summary), width=2000)} Peak live tensors: the most bytes that "
        "tensors held at one time while training, on whatever device. Peak resident set: the most memory of the whole "
        "process. FLOPs are not measured but estimated from real tokens and parameters: 2 a parameter and token "
        "forward, 2 to 4 backward. All columns are in [table.csv](table.csv), all runs in [runs.csv](runs.csv), the "
        "table for a paper is [table.tex](table.tex)."
    )
    failed = sentences.failures(results.cells)
    pruned = sentences.pruned(results.cells)
    yield "## Runs that did not end well"
    yield _bullets(failed) if failed else "None failed."
    if pruned:
        yield pruned
    yield "## How it was run"
    yield _bullets(origin.provenance(results))
    yield origin.versions(results.records)
    commands = [f"    {text.one_line(m.command, len(m.command))}" for m in results.manifests if m.command is not None]
    if commands:
        yield "To repeat it:\n\n" + "\n".join(commands)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
