"""``bench run``: plan, prepare, run, report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.live import follow
from bench.engines import engines
from bench.records import TrialRecord
from bench.reporting.text import file_size
from bench.spec import Cell, Experiment
from bench.studies.cells import plan_cells
from bench.studies.experiment_file import load_experiment
from bench.studies.prepare import downloads, prepare

FAILED = ("diverged", "oom", "timeout", "killed", "error", "infeasible")


def load(file: Path, assignments: Sequence[str]) -> Experiment:
    """Read an experiment file."""
    return load_experiment(file, assignments)


def run_experiment(
    file: Path,
    assignments: Sequence[str],
    results: Path | None,
    reports: Path | None,
    workers: int | None,
    engine: str | None,
    accepted: Sequence[str],
    dry_run: bool,
    arguments: Sequence[str],
) -> int:
    """Run an experiment file and return the exit code."""
    console = Console()
    experiment = load(file, assignments)
    cells = plan_cells(experiment, str(file))
    name = engine or experiment.engine
    folder = results or Path("results") / experiment.name
    where = f"{file}: engine" if engine is None else "--engine"
    options = {"workers": workers or experiment.workers, "log_folder": folder / "logs"}
    chosen = engines.build(name, options, where)
    if dry_run:
        show_plan(console, experiment, cells, folder)
        return 0
    prepare(cells, [*experiment.accept_licenses, *accepted], lambda text: console.print(escape(text)))

    # Only now: importing optuna takes a moment that a typo should not have to wait for.
    from bench.studies.driver import Driver

    try:
        with follow(console, cells, chosen.workers) as view:
            driver = Driver(experiment, cells, folder, chosen, view)
            view.resume(record for run in driver.cells for record in run.records)
            records = driver.run()
    except KeyboardInterrupt:
        command = shlex.join(["bench", *arguments])
        print(f"\ninterrupted; what was finished is in {folder}. To go on:\n  {command}", file=sys.stderr)
        return 130
    draw_report([folder], reports or Path("reports") / experiment.name)
    return name_failures(console, records)


def draw_report(results: Sequence[Path], out: Path) -> None:
    """Write the report, show its table, and say where it is."""
    from bench.reporting import collect, summarise, terminal_table, write_report

    console = Console()
    page = write_report(results, out)
    console.print(terminal_table(summarise(collect(results).records)))
    console.print(f"report: {escape(str(page))}", soft_wrap=True)


def name_failures(console: Console, records: Sequence[TrialRecord]) -> int:
    """Print each run that failed with its reason; return 1 if there are any."""
    failed = [record for record in records if record.status in FAILED]
    for record in failed:
        console.print(f"[red]{record.status}[/] {escape(record.spec.title)}: {escape(record.reason or '')}")
    return 1 if failed else 0


def show_plan(console: Console, experiment: Experiment, cells: Sequence[Cell], folder: Path) -> None:
    """Print cells, trials, search spaces and downloads."""
    table = Table(title=f"{experiment.name}: {len(cells)} cells", title_justify="left")
    for heading in ("model", "data set", "method", "trials", "finals", "search space"):
        table.add_column(heading, justify="right" if heading in ("trials", "finals") else "left")
    for cell in cells:
        space = "\n".join(f"{key}: {_range(value)}" for key, value in cell.search.items()) or "-"
        table.add_row(*cell.labels, str(cell.study.trials), str(cell.planned_finals), escape(space))
    console.print(table)
    trials = sum(cell.study.trials for cell in cells)
    finals = sum(cell.planned_finals for cell in cells)
    console.print(f"{trials} trials and {finals} finals; results go to {escape(str(folder))}")
    needed = downloads(cells)
    for user, download in needed:
        size = "size unknown without a network" if download.bytes is None else file_size(download.bytes)
        state = "in the cache" if download.cached else "to be downloaded"
        console.print(f"{escape(download.name)} for {escape(user)}: {size}, {state}", soft_wrap=True)
    missing = [d for _, d in needed if not d.cached]
    unknown = " and what the hub does not tell offline" if any(d.bytes is None for d in missing) else ""
    console.print(f"to download: {file_size(sum(d.bytes or 0 for d in missing))}{unknown}")


def _range(distribution: object) -> str:
    from bench.spec import Choice, Float, Int

    if isinstance(distribution, Choice):
        return ", ".join(map(str, distribution.choices))
    assert isinstance(distribution, Float | Int)
    scale = " (log)" if distribution.log else ""
    return f"{distribution.low:g} to {distribution.high:g}{scale}"
