"""``bench plot``, ``bench convert`` and ``bench compare``: what is made of stored records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.core.errors import BadInput, did_you_mean
from bench.core.files import write_atomic
from bench.core.grouping import grouped
from bench.core.patterns import choose
from bench.experiment.file import assigned
from bench.reporting import text
from bench.reporting.figures.base import Drawing
from bench.reporting.figures.canvas import FORMS, STYLES, Form
from bench.reporting.figures.numbering import said
from bench.reporting.folders import collect
from bench.reporting.references import read_references


def plot(
    name: str,
    results: Sequence[Path],
    out: Path | None,
    style: str,
    changes: Sequence[str],
    references: Path | None = None,
    only: Sequence[str] = (),
) -> None:
    """Draw one figure (``all``: every one) and say where its files are.

    ``out`` is a file, ``.png`` or ``.svg``, or a folder that gets both forms of each drawing; ``references`` a file of
    scores that are to stand beside ours; ``only`` are patterns of the cells to draw (`bench.core.patterns.choose`).

    Raises:
        BadInput: unknown figure, style or option, or records that hold nothing of that kind.
    """
    from bench.reporting.figures import figures, in_order

    medium = next((known for known in STYLES if known == style), None)
    if medium is None:
        raise BadInput(f"--style: unknown style {style!r}; known are {', '.join(STYLES)}")
    options = assigned({}, changes)
    if name not in (*in_order(), "all"):
        near = did_you_mean(name, in_order())
        raise BadInput(f"unknown figure '{name}'{near}; there are {', '.join(in_order())}, and 'all'")
    if name == "all" and options:
        raise BadInput(f"--set {changes[0]}: options are of one figure; name it instead of 'all'")
    names = in_order() if name == "all" else [name]
    drawn: list[Drawing] = []
    reasons: list[str] = []
    if references and "scale" not in names:
        raise BadInput(f"--references: the figure 'scale' draws them, not '{name}'")
    built = [(one, figures.build(one, options, f"figure {one}")) for one in names]
    every = collect(results).cells
    cells = choose(every, only)
    if references:
        found = {"references": read_references(references, every)}
        built = [(one, figure.model_copy(update=found) if one == "scale" else figure) for one, figure in built]
    for one, figure in built:
        for drawing in figure.drawings(one, cells, medium):
            if isinstance(drawing, Drawing):
                drawn.append(drawing)
            else:
                reasons.append(f"{one}: {drawing}")
    if not drawn:
        raise BadInput("nothing to draw: " + "; ".join(reasons))
    for path, drawing, form in list(_targets(drawn, out)):
        try:
            write_atomic(path, drawing.file(form))
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror or error}") from None
        print(f"{path}: {drawing.title}" + (f" ({said(drawing.names)})" if drawing.names else ""))
    for reason in reasons:
        print(f"not drawn: {reason}")


def _targets(drawn: Sequence[Drawing], out: Path | None) -> Iterator[tuple[Path, Drawing, Form]]:
    if out is None or out.suffix == "":
        for one in drawn:
            for form in FORMS:
                yield (out or Path()) / f"{one.stem}.{form}", one, form
        return
    chosen = next((form for form in FORMS if out.suffix.lower() == f".{form}"), None)
    if chosen is None:
        raise BadInput(f"--out: {out.name}: figures are written as .png or .svg, or both into a folder")
    for one in drawn:
        # Where there are several (one a data set), the name that was asked for and what tells them apart.
        yield out if len(drawn) == 1 else out.with_name(f"{out.stem}-{one.stem}{out.suffix}"), one, chosen


def convert_results(form: str, results: Sequence[Path], out: Path | None) -> None:
    """Write results in a format that another tool reads, and say where the files are.

    Raises:
        BadInput: unknown format, or nothing to write.
    """
    from bench.reporting.exports import FORMATS, convert

    if form not in FORMATS:
        raise BadInput(f"unknown format '{form}'{did_you_mean(form, FORMATS)}")
    for path in convert(collect(results), form, out or Path("converted")):
        print(path)


def compare_results(before: Path, after: Path) -> None:
    """Print what changed between two results folders, with 95 % intervals over seeds and test items.

    The verdicts are corrected for all methods on the same model and data set, as those of a report; intervals are each
    change's own.
    """
    from bench.reporting.compare import compare

    found = compare(collect(before), collect(after))
    if not found.changes:
        raise BadInput(f"{before} and {after}: no cell has the same model, data set, method and metric in both")
    console = Console()
    spread = console.width >= 100  # else names need the room; the interval says more
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "before", "after", "change", "95 % interval", "chance"):
        table.add_column(Text(heading), overflow="fold", no_wrap=heading != "")
    group: tuple[str, str] | None = None
    for change in found.changes:
        interval = change.between.interval
        model, dataset, method = change.after.labels
        if group != (group := (model, dataset)):
            table.add_row(Text(f"{model} / {dataset}", style="cyan"))
        cells = (
            f"  {method}",
            *(text.mean_sd(cell.mean, cell.sd if spread else None) for cell in (change.before, change.after)),
            text.signed(change.gap),
            f"{text.signed(interval.low)} to {text.signed(interval.high)}" if interval else text.MISSING,
            "no score" if change.gap is None else _VERDICTS.get(change.between.verdict, change.between.verdict),
        )
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    console.print(Text("chance: corrected by Holm for the methods of a model and data set; an interval is its own"))
    unlike = [change for change in found.changes if change.unlike]
    for what, changes in grouped(unlike, lambda change: " and ".join(change.unlike)).items():
        whose = ", ".join(change.after.title for change in changes)
        console.print(Text(f"not alike in {what}: {whose}"), soft_wrap=True)
    for where, titles in (("before", found.only_before), ("after", found.only_after)):
        if titles:
            more = f" and {len(titles) - 10} more" if len(titles) > 10 else ""
            console.print(Text(f"only {where}: {', '.join(titles[:10])}{more}"), soft_wrap=True)


_VERDICTS = {
    "too few seeds": "few seeds",
    "too few items": "few items",
    "no predictions": "no answers",
}
