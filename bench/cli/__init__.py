"""The command line. Thin: each command imports what it needs when it runs, so that ``--help`` is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli import finals, foreign
from bench.core.errors import BenchError, disk_full

app = typer.Typer(
    name="bench",
    help="Which way of adapting a frozen language model is best, at which size, and at what cost?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: the panels alone would take a third of the time of `bench --help`
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130


File = Annotated[Path, typer.Argument(metavar="FILE", help="Experiment file (YAML).")]


def settings(help_: str) -> Any:
    """Return the option ``--set``."""
    return typer.Option("--set", metavar="KEY=VALUE", help=f"{help_} Repeatable.")


Set = Annotated[list[str] | None, settings("Change a key of the file, such as study.trials=4.")]
Plugin = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file that registers more (docs/plugins.md). Repeatable."),
]
References = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Scores of others to stand beside ours, marked as such (docs/results.md)."),
]


@app.command()
def run(
    file: File,
    set_: Set = None,
    results: Annotated[
        Path | None, typer.Option(help="Results folder.", show_default="results/<name of the experiment>")
    ] = None,
    reports: Annotated[
        Path | None,
        typer.Option("--reports", "--out", help="Report folder.", show_default="reports/<name of the experiment>"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials that run at the same time.")] = None,
    engine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where trials run: see 'bench list engines'.")
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Of the Ray cluster, with --engine ray: auto, host:6379, ray://host:10001."
        ),
    ] = None,
    accept_license: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Accept the licence of an opt-in model. Repeatable.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELL", help="Run just these cells: a label, or 'model/data set/method' with *. Repeatable."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(metavar="CELL", help="Leave these cells for another time. Repeatable.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N", help="Run the K-th of N shares of the cells, beside others (docs/cluster.md); K from 1."
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run again every trial that did not end well.")
    ] = False,
    budget_hours: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Cut the trials of all cells alike so that the whole fits (after 'bench calibrate')."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Try cells, too, that are predicted not to fit into memory.")
    ] = False,
    plugin: Plugin = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run, be downloaded and take how long; run nothing.")
    ] = False,
) -> None:
    """Run an experiment, or go on with one that was interrupted.

    Exit codes: 0 all done, 1 something broke (error, timeout, killed) or nothing could run, 2 bad input, 130
    interrupted, 143 terminated.
    """
    from bench.api import Selection, plan
    from bench.cli.run import require_ray, run_plan, within
    from bench.driver.shards import Shard

    changes = set_ or []
    if ray_address is not None:
        require_ray(engine, file, changes)
    share = Shard.parse(shard) if shard is not None else None
    planned = plan(
        file,
        results,
        changes=changes,
        workers=workers,
        engine=engine,
        engine_options={} if ray_address is None else {"address": ray_address},
        plugins=plugin or [],
    ).select(Selection(tuple(only or ()), tuple(skip or ()), share))
    if budget_hours is not None:
        planned = within(planned, budget_hours)
    raise typer.Exit(run_plan(planned, accept_license or [], reports, retry_failed, force, dry_run))


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders; several are merged.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "--reports", help="Where to write.", show_default="reports/<name of the first folder>"),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another recorded metric on test than the one that studies optimised."),
    ] = None,
    references: References = None,
) -> None:
    """Draw tables and plots again from stored records alone."""
    from bench.cli.report import draw_report

    draw_report(results, out or Path("reports") / results[0].resolve().name, metric, references)


@app.command()
def plot(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A figure, see 'bench list figures'; or 'all'.")],
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Results folders; several are merged.")],
    out: Annotated[
        Path | None, typer.Option(help="A .png or .svg file, or a folder for both.", show_default="here")
    ] = None,
    style: Annotated[str, typer.Option(help="paper or slides.")] = "paper",
    set_: Annotated[list[str] | None, settings("An option of a figure; ours have none, a plug-in's may.")] = None,
    references: References = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CELL", help="Draw just these cells, as 'bench run --only'. Repeatable.")
    ] = None,
) -> None:
    """Draw one figure from stored records."""
    from bench.cli.draw import plot as draw

    draw(name, results, out, style, set_ or [], references, only or [])


@app.command()
def convert(
    form: Annotated[
        str,
        typer.Argument(metavar="FORMAT", help="csv, parquet, markdown, latex, runs, long, lm-eval or model-index."),
    ],
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Results folders; several are merged.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write into.", show_default="converted")] = None,
) -> None:
    """Write results in a format that another tool reads."""
    from bench.cli.draw import convert_results

    convert_results(form, results, out)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A", help="Results folder.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
) -> None:
    """Show what changed from one results folder to another, with intervals."""
    from bench.cli.draw import compare_results

    compare_results(before, after)


@app.command()
def claims(
    results: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RESULTS...", help="Results folders.", show_default="all in results/reference"),
    ] = None,
    file: Annotated[Path, typer.Option("--claims", metavar="FILE", help="Published sentences and their tests.")] = Path(
        "docs/claims.yaml"
    ),
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="In Markdown.")] = False,
) -> None:
    """Hold published sentences against records: supported, contradicted, or not to be told here."""
    from bench.cli.claims import show_claims

    show_claims(results or [], file, json, markdown)


@app.command()
def status(
    results: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder.")],
) -> None:
    """Show how far an experiment is, cell by cell."""
    from bench.cli.status import show_status

    show_status(results)


@app.command()
def rebuild(
    results: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder.")],
    storage: Annotated[str | None, typer.Option(metavar="URL", help="Another database than its study.db.")] = None,
) -> None:
    """Write the database of the studies, for Optuna's own tools, anew from the records."""
    from bench.cli.status import rebuild_database

    rebuild_database(results, storage)


@app.command()
def watch(
    results: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run that goes on elsewhere.")],
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Follow a run from another terminal, until all that is planned is done."""
    from bench.cli.watch import watch as follow

    follow(results, every)


@app.command()
def validate(file: File, set_: Set = None, plugin: Plugin = None) -> None:
    """Check an experiment file without running anything."""
    from bench.api import plan
    from bench.cli.resolution import planned_resolutions
    from bench.experiment.preparing import source_cautions

    planned = plan(file, changes=set_ or [], plugins=plugin or [])
    for caution in [*planned.cautions, *source_cautions(planned.cells)]:
        typer.echo(f"warning: {caution}")
    for line in planned_resolutions(planned.cells):
        typer.echo(line)
    typer.echo(f"{file}: valid; experiment '{planned.experiment.name}', {len(planned.cells)} cells")


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="methods, datasets, models, metrics, engines, figures or trackers.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    plugin: Plugin = None,
) -> None:
    """List what can be named in an experiment file."""
    from bench.cli.listing import list_entries
    from bench.core.plugins import load_plugins

    load_plugins(plugin or [])
    list_entries(kind, json)


@app.command()
def show(
    kind: Annotated[
        str,
        typer.Argument(help="method, dataset, model, metric, engine, figure or tracker; not needed for most names."),
    ],
    name: Annotated[str | None, typer.Argument(help="Its name.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    plugin: Plugin = None,
) -> None:
    """Show one entry: fields, defaults, search space, licence, citation."""
    from bench.cli.listing import show_entry
    from bench.core.plugins import load_plugins

    load_plugins(plugin or [])
    show_entry(kind, name, json)


app.add_typer(finals.app)


@app.command()
def params(
    model: Annotated[
        str, typer.Argument(help="A model whose configuration ships, an id of the hub, or a folder with config.json.")
    ],
    method: Annotated[str, typer.Argument(help="A method: see 'bench list methods'.")],
    set_: Annotated[list[str] | None, settings("An option of the method, such as rank=4.")] = None,
) -> None:
    """Parameters, least memory and FLOPs of a model with a method, from its configuration: no weights, no network."""
    from bench.cli.params import show_params

    show_params(model, method, set_ or [])


@app.command("plan")
def plan_(
    target: Annotated[str, typer.Argument(metavar="FILE|MODEL", help="An experiment file; or a model, and a method.")],
    method: Annotated[str | None, typer.Argument(help="A method, with a model: see 'bench list methods'.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the file, or an option of method or training."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="h100, a100, l40s, t4, rtx4090, or here after 'bench calibrate'.",
            show_default="for a file, here if it was calibrated; else h100",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials that run at the same time, for a file, as in 'bench run'.")
    ] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of an hour of the device, for a file.")] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Of every input, for a model and a method.")] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="For a model and a method.")] = 16,
    plugin: Plugin = None,
) -> None:
    """Predict memory and time before anything is downloaded: no weights, no GPU."""
    from bench.cli.plan import plan_file, plan_one
    from bench.core.plugins import load_plugins

    if method is None:
        plan_file(Path(target), set_ or [], workers, device, price, plugin or [])
    else:
        load_plugins(plugin or [])
        plan_one(target, method, set_ or [], device, tokens, batch_size)


@app.command()
def calibrate(
    workers: Annotated[int, typer.Option(min=1, help="Trials that will run at the same time.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of each.", show_default="the cores, shared among the workers")
    ] = None,
) -> None:
    """Measure this machine's processor for a minute, so that 'bench plan' can tell seconds on it."""
    from bench.cli.calibrate import calibrate_here

    calibrate_here(workers, threads)


app.add_typer(foreign.app, name="import")
new = typer.Typer(no_args_is_help=True, help="Write the skeleton of a plug-in.")
app.add_typer(new, name="new")


@new.command("method")
def new_method(
    name: Annotated[str, typer.Argument(help="Its name in experiment files, such as input_shift.")],
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="A new folder.", show_default="the name")] = None,
) -> None:
    """Write a package with a working method and its test, to be changed into your own."""
    from bench.cli.new import new_method

    for path in new_method(name, folder or Path(name)):
        typer.echo(path)


@app.command()
def doctor(
    security: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="List what this experiment would trust instead; runs and fetches nothing."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="With --security: as JSON.")] = False,
    plugin: Plugin = None,
) -> None:
    """Check this installation: versions, device, cache, what can be reached and what is missing."""
    if security is not None:
        from bench.cli.security import show_security

        show_security(security, json, plugin or [])
        return
    from bench.cli.doctor import examine

    raise typer.Exit(examine())


def main() -> None:
    """Run the command line; an error of the user's is one clear line and exit code 2, a full disk one and 1."""
    try:
        app()
    except (BenchError, OSError) as error:
        full = disk_full(error)
        if full is None and isinstance(error, OSError):
            raise
        said = (
            error
            if full is None
            else f"the disk is full{f': {full.filename}' if full.filename else ''}; make room and run it again"
        )
        print(f"error: {said}", file=sys.stderr)
        sys.exit(BAD_INPUT if full is None else FAILED)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
