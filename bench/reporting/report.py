"""A report: the table, the figure, and what they say, from the records of one or several folders.

Nothing in a report depends on when or where it is drawn: the same records give the same files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.errors import BadInput
from bench.records import TrialRecord, write_atomic
from bench.reporting import text, words
from bench.reporting.cells import CellRuns
from bench.reporting.folders import Results, collect
from bench.reporting.frame import results_frame
from bench.reporting.scale_plot import draw_scale, drawable, method_styles, render, scale_title
from bench.reporting.table import summarise_cells
from bench.reporting.writers import csv_table, markdown_table


def write_report(results: Sequence[str | Path], out: str | Path) -> Path:
    """Draw the report of one results folder, or of several that are merged.

    Writes ``report.md``, ``table.csv`` (a row a cell), ``runs.csv`` (a row a run) and the figure
    ``scale.png`` and ``scale.svg`` (``scale-<data set>`` where there are several).

    Returns:
        The path of ``report.md``.

    Raises:
        BadInput: a folder is missing, is no results folder, holds no record that counts, or ``out``
            cannot be written.
    """
    found = collect(results)
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in _files(found):
            write_atomic(out / name, data)
    except OSError as error:
        raise BadInput(f"{out}: the report cannot be written there: {error.strerror or error}") from None
    return out / "report.md"


def _files(results: Results) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents; the report itself comes last, when all that it points to is there."""
    yield "table.csv", csv_table(summarise_cells(results.cells)).encode()
    yield "runs.csv", csv_table(results_frame(results)).encode()
    styles = method_styles(cell.method for cell in results.cells)
    for stem, cells in _sections(results.cells).items():
        figure = draw_scale(cells, styles)
        if figure is not None:
            yield f"{stem}.png", render(figure, "png")
            yield f"{stem}.svg", render(figure, "svg")
    yield "report.md", report_text(results).encode()


def report_text(results: Results) -> str:
    """Return the report in Markdown."""
    return "\n\n".join(_paragraphs(results)) + "\n"


def _sections(cells: Iterable[CellRuns]) -> dict[str, list[CellRuns]]:
    """Split cells into what one figure can hold, a data set and its metric, by the name of its file."""
    groups: dict[tuple[str, str], list[CellRuns]] = {}
    for cell in cells:
        groups.setdefault((cell.dataset, cell.metric), []).append(cell)
    datasets = [dataset for dataset, _ in groups]
    sections = {}
    for (dataset, metric), members in groups.items():
        stem = "scale" if len(set(datasets)) == 1 else f"scale-{dataset}"
        sections[stem if datasets.count(dataset) == 1 else f"{stem}-{metric}"] = members
    return sections


def _paragraphs(results: Results) -> Iterator[str]:
    names = _names(results)
    yield f"# {text.markdown(' + '.join(names))}"
    for description in dict.fromkeys(str(m.experiment.get("description") or "") for m in results.manifests):
        if description.strip():
            yield text.markdown(description, width=2000)
    care = list(words.cautions(results))
    if care:
        yield "**Read with care.**\n\n" + _bullets(care)
    for stem, cells in _sections(results.cells).items():
        yield f"## {text.markdown(scale_title(cells))}"
        yield _bullets(words.verdicts(cells))
        if drawable(cells):
            yield f"![{text.markdown(scale_title(cells))}]({stem}.png)"
        else:
            yield "No figure: no cell has a score and a known model size."
        unplaced = {cell.model for cell in cells if cell.uses_model and cell.scores and not cell.base_parameters}
        if unplaced:
            yield f"Not in the figure, for no record says how large it is: {_listed(unplaced)}."
        yield markdown_table(summarise_cells(cells)).rstrip()
    yield (
        "Scores on test are of the best configuration on validation, run again on fresh seeds: mean ± standard "
        "deviation over these seeds, the best of a model in bold. Peak live tensors: the most bytes that tensors held "
        "at one time while training, on whatever device. Peak resident set: the most memory of the whole process. "
        "All columns are in [table.csv](table.csv), all runs in [runs.csv](runs.csv)."
    )
    failed = words.failures(results.cells)
    pruned = words.pruned(results.cells)
    yield "## Runs that did not end well"
    yield _bullets(failed) if failed else "None failed."
    if pruned:
        yield pruned
    yield "## How it was run"
    yield _bullets(_provenance(results))
    yield _versions(results.records)
    commands = [f"    {text.one_line(m.command)}" for m in results.manifests if m.command is not None]
    if commands:
        yield "To repeat it:\n\n" + "\n".join(commands)


def _names(results: Results) -> list[str]:
    """Return the names of the experiments, of their files or else of their records."""
    given = [manifest.name for manifest in results.manifests if manifest.name]
    return list(dict.fromkeys(given or [record.spec.experiment for record in results.records]))


def _provenance(results: Results) -> Iterator[str]:
    records = results.records
    started = sorted(record.started_at for record in records)
    total = sum(record.seconds.get("total", 0.0) for record in records)
    yield (
        f"{text.number_of(len(records), 'run')}, the first begun {text.markdown(started[0])}, the last "
        f"{text.markdown(started[-1])}; {text.duration(total)} of computing in all."
    )
    for field, name in (
        ("git_commit", "Code (git commit)"),
        ("device", "Device"),
        ("device_name", "Device name"),
        ("precision", "Precision"),
        ("threads", "Threads"),
        ("platform", "Platform"),
    ):
        values = {str(value) for r in records if (value := getattr(r.provenance, field)) is not None}
        if values:
            yield f"{name}: {_listed(values)}"
    for field, name, label in (("model_revision", "Model", 0), ("data_revision", "Data set", 1)):
        revisions: dict[str, set[str]] = {}
        for record in records:
            value = getattr(record.provenance, field)
            if value is not None:
                revisions.setdefault(record.spec.cell.labels[label], set()).add(value)
        for owner, values in sorted(revisions.items()):
            yield f"{name} {text.markdown(owner)}: revision {_listed(values)}"
    if any(record.spec.cell.trust_remote_code for record in records):
        yield "Models were allowed to run their own Python code (trust\\_remote\\_code)."


def _versions(records: Iterable[TrialRecord]) -> str:
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.provenance.versions.items():
            versions.setdefault(package, set()).add(version)
    if not versions:
        return "The records do not say which versions of packages were used."
    return "Versions: " + "; ".join(f"{text.markdown(name)} {_listed(versions[name])}" for name in sorted(versions))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(text.markdown(value) for value in sorted(values))


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
