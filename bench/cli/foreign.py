"""``bench import``: what other tools have published, as foreign records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.reporting.foreign.runs import ForeignRun

app = typer.Typer(no_args_is_help=True, help="Read what other tools have published, as foreign records.")
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write table, figure and text.")]
OUT = Path("reports/foreign")


@app.command("peft")
def import_peft(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder of PEFT's method_comparison.")],
    items: Annotated[int | None, typer.Option(min=1, help="Test items, where they are not GSM8K's 1,319.")] = None,
    out: Out = OUT,
) -> None:
    """Show which runs of PEFT's method_comparison can be told apart, and what each cost."""
    from bench.reporting.foreign.peft import read_peft

    _show(read_peft(folder, items), out)


@app.command("lm-eval")
def import_lm_eval(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Results (JSON), of one or several models.")],
    out: Out = OUT,
) -> None:
    """Show which scores of lm-evaluation-harness can be told apart."""
    from bench.reporting.foreign.lm_eval import read_lm_eval

    _show(read_lm_eval(files), out)


def _show(runs: Sequence[ForeignRun], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench.reporting.foreign import writing
    from bench.reporting.foreign.runs import tables

    found = tables(runs)
    written = writing.write(found, out)
    console = Console()
    for one in found:
        rows = list(writing.rows(one))
        kept = [place for place in range(len(writing.HEADINGS)) if any(row[place] not in ("", "-") for row in rows)]
        # A name longer than its column is broken: all that can be compared stays in sight at 80 columns.
        shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for place in kept:
            shown.add_column(Text(writing.HEADINGS[place].replace(" ", "\n")), overflow="fold", no_wrap=0 < place < 7)
        for row in rows:
            shown.add_row(*(Text(row[place]) for place in kept))
        console.print(Text(f"{one.title} (foreign: {one.runs[0].source})", style="cyan"))
        console.print(shown)
        for line in writing.sentences(one):
            console.print(Text(line), soft_wrap=True)
    for path in written:
        typer.echo(path)
