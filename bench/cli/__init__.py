"""The command line. Thin: each command imports what it needs when it runs, so that ``--help`` is instant."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BenchError

app = typer.Typer(
    name="bench",
    help="Which way of adapting a frozen language model is best, at which size, and at what cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BAD_INPUT = 2
INTERRUPTED = 130


class Kind(StrEnum):
    """What can be listed."""

    METHODS = "methods"
    DATASETS = "datasets"
    MODELS = "models"
    METRICS = "metrics"
    ENGINES = "engines"


File = Annotated[Path, typer.Argument(metavar="FILE", help="Experiment file (YAML).")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the file, such as study.trials=4. Repeatable."),
]


@app.command()
def run(
    file: File,
    set_: Set = None,
    results: Annotated[
        Path | None, typer.Option(help="Results folder.", show_default="results/<name of the experiment>")
    ] = None,
    reports: Annotated[
        Path | None, typer.Option(help="Report folder.", show_default="reports/<name of the experiment>")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials that run at the same time.")] = None,
    engine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where trials run: see 'bench list engines'.")
    ] = None,
    accept_license: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Accept the licence of an opt-in model. Repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run and be downloaded; run nothing.")
    ] = False,
) -> None:
    """Run an experiment, or go on with one that was interrupted.

    Exit codes: 0 all done, 1 some trials failed, 2 bad input, 130 interrupted.
    """
    from bench.cli.run import run_experiment

    raise typer.Exit(
        run_experiment(file, set_ or [], results, reports, workers, engine, accept_license or [], dry_run, sys.argv[1:])
    )


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders; several are merged.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write.", show_default="reports/<name of the first folder>")
    ] = None,
) -> None:
    """Draw tables and plots again from stored records alone."""
    from bench.cli.run import draw_report

    draw_report(results, out or Path("reports") / results[0].resolve().name)


@app.command()
def status(
    results: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder.")],
) -> None:
    """Show how far an experiment is, cell by cell."""
    from bench.cli.status import show_status

    show_status(results)


@app.command()
def validate(file: File, set_: Set = None) -> None:
    """Check an experiment file without running anything."""
    from bench.api import plan

    planned = plan(file, changes=set_ or [])
    typer.echo(f"{file}: valid; experiment '{planned.experiment.name}', {len(planned.cells)} cells")


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List what can be named in an experiment file."""
    from bench.cli.listing import list_entries

    list_entries(kind.value, json)


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="method, dataset, model, metric or engine.")],
    name: Annotated[str, typer.Argument(help="Its name.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show one entry: fields, defaults, search space, licence, citation."""
    from bench.cli.listing import show_entry

    show_entry(kind, name, json)


@app.command()
def doctor() -> None:
    """Check this installation: versions, device, cache, what can be reached and what is missing."""
    from bench.cli.doctor import examine

    raise typer.Exit(examine())


def main() -> None:
    """Run the command line; an error of the user's is one clear line and exit code 2."""
    try:
        app()
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
