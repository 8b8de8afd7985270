"""``bench claims``: published sentences, held against records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.core.errors import BadInput
from bench.reporting.claims import writing
from bench.reporting.claims.file import read_claims
from bench.reporting.claims.verdicts import Finding, findings, read_experiments
from bench.runs.manifest import FILENAME

REFERENCE = Path("results/reference")
_STYLES = {"supported": "green", "contradicted": "red"}


def show_claims(results: Sequence[Path], file: Path, json: bool, markdown: bool) -> None:
    """Print what the records say of each claim.

    Raises:
        BadInput: the file or a folder cannot be read, or two forms are asked for.
    """
    if json and markdown:
        raise BadInput("--json and --markdown: ask for one of them")
    claims = read_claims(file)
    folders = list(results) or sorted(path.parent for path in REFERENCE.glob(f"*/{FILENAME}"))
    if not folders:
        raise BadInput(f"no results folder was given, and {REFERENCE} has none")
    found = findings(claims, read_experiments(folders))
    if json:
        typer.echo(writing.as_json(found))
    elif markdown:
        typer.echo(writing.as_markdown(found), nl=False)
    else:
        _table(found)


def _table(found: Sequence[Finding]) -> None:
    console = Console()
    for finding in found:
        claim = finding.claim
        shown = Table.grid(padding=(0, 2))
        shown.add_row(Text("number", style="dim"), Text(writing.tested_by(finding), overflow="fold"))
        if finding.value is not None:
            said = f"{writing.number(claim, finding.value)} ({writing.between(claim, finding.interval)})"
            shown.add_row(Text("found", style="dim"), Text(f"{said}; expected {writing.expected(claim)}"))
        for reason in finding.reasons:
            shown.add_row(Text(""), Text(reason, overflow="fold"))
        console.print(Text(f"{finding.verdict}: ", style=_STYLES.get(finding.verdict, "yellow")) + Text(claim.says))
        console.print(Text(claim.where, style="dim"))
        console.print(shown)
        console.print()
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in (*_STYLES, "cannot be told here")}
    console.print(Text("; ".join(f"{number} {verdict}" for verdict, number in counts.items())))
