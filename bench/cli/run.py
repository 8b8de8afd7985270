"""``bench run``: plan, prepare, run, report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.api import Plan, execute
from bench.cli.live import View
from bench.cli.resolution import planned_resolutions
from bench.core.distributions import Choice, Distribution
from bench.core.errors import BadInput
from bench.core.files import make_writable
from bench.core.grouping import grouped
from bench.core.labels import slug
from bench.driver.signals import Terminated
from bench.experiment.file import load_experiment
from bench.experiment.preparing import downloads, source_cautions, unaccepted
from bench.reporting.text import file_size
from bench.runs.range_ends import range_end_caution
from bench.runs.record import BROKEN, FAILED, TrialRecord

INTERRUPTED, TERMINATED = 130, 143


def require_ray(engine: str | None, file: Path, changes: Sequence[str]) -> None:
    """Refuse ``--ray-address`` for another engine."""
    if (name := engine or load_experiment(file, changes).engine) != "ray":
        raise BadInput(f"--ray-address: the engine is '{name}'; add --engine ray")


def within(planned: Plan, hours: float) -> Plan:
    """Return a plan with as many trials a cell as fit into so many hours of this machine.

    Raises:
        BadInput: it does not run here, the machine was not measured, or no trial fits.
    """
    if planned.shard is not None:
        raise BadInput("--budget-hours: each shard would cut trials by its own measure; set study.trials for all")
    if not planned.engine.on_this_machine:
        raise BadInput("--budget-hours: needs the engine 'processes', whose trials run on this machine alone")
    from bench.planning.budget import cut, seconds_of
    from bench.planning.places import HERE, place

    workers = planned.engine.workers
    on = place(HERE, workers, planned.threads, planned.experiment.runtime.device)
    budget = workers * (3600 * hours - on.start)
    cells, said = cut(planned.cells, seconds_of(planned.cells, on), budget)
    return planned.with_cells(cells, f"--budget-hours {hours:g}: {said}")


def run_plan(
    planned: Plan, accepted: Sequence[str], reports: Path | None, retry_failed: bool, force: bool, dry_run: bool
) -> int:
    """Run what is planned, report it, and return the exit code; the options are those of ``bench run``."""
    console = Console(emoji=False)
    warn(planned.cautions)
    accepted = [*planned.experiment.accept_licenses, *accepted]
    if dry_run:
        show_plan(planned, accepted)
        for line in planned_resolutions(planned.cells):
            print(line)
        warn(source_cautions(planned.cells))
        show_time(planned)
        return 0
    out = reports or Path("reports") / slug(planned.experiment.name)
    if planned.shard is None:
        make_writable(out, "--reports")
    elif not planned.cells:
        print(f"shard {planned.shard}: there are more shards than cells, this one has nothing to run")
        return 0
    threads = planned.threads if planned.engine.on_this_machine else None
    view = View(console, planned.cells, planned.engine.workers, threads)
    try:
        records = execute(
            planned,
            accepted,
            view,
            lambda text: console.print(escape(text), soft_wrap=True),
            retry_failed=retry_failed,
            force=force,
        )
    except (KeyboardInterrupt, Terminated) as error:
        command = shlex.join(["bench", *sys.argv[1:]])
        print(f"\ninterrupted; what was finished is in {planned.results}. To go on:\n  {command}", file=sys.stderr)
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    if planned.shard is not None:
        print(f"shard {planned.shard} is done; when all are: bench report {planned.results}")
    elif records:
        from bench.cli.report import draw_report

        draw_report([planned.results], out)
    warn_of_range_ends(records)
    warn(source_cautions(planned.cells))
    # A shard may hold nothing that can run; of a whole experiment that is no success.
    nothing = planned.shard is None and bool(records) and not any(record.status == "ok" for record in records)
    return name_failures(records) or int(nothing)


def warn_of_range_ends(records: Sequence[TrialRecord]) -> None:
    """Name the cells whose best learning rate lies at the end of its range."""
    warn(filter(None, map(range_end_caution, grouped(records, lambda record: record.cell_path).values())))


def warn(texts: Iterable[str]) -> None:
    """Print warnings."""
    console = Console(highlight=False, soft_wrap=True)
    for text in texts:
        console.print(f"[yellow]warning:[/] {escape(text)}")


def name_failures(records: Sequence[TrialRecord]) -> int:
    """Print what failed, alike runs of a cell once; return 1 if any broke, rather than diverged or did not fit."""
    console = Console(soft_wrap=True, emoji=False)
    failed = [record for record in records if record.status in FAILED]
    alike = grouped(failed, lambda record: (record.status, record.spec.cell.title, record.reason))
    for (status, cell, reason), runs in alike.items():
        title = runs[0].spec.title if len(runs) == 1 else f"{cell}, {len(runs)} runs"
        console.print(f"[red]{status}[/] {escape(title)}: {escape(reason or '')}")
    return int(any(record.status in BROKEN for record in failed))


def show_plan(planned: Plan, accepted: Sequence[str]) -> None:
    """Print cells, trials, search spaces, downloads, and licences that are to be accepted first."""
    cells = planned.cells
    table = Table(title=f"{planned.experiment.name}: {len(cells)} cells", title_justify="left")
    for heading in ("model", "data set", "method", "trials", "finals", "search space"):
        table.add_column(heading, justify="right" if heading in ("trials", "finals") else "left", overflow="fold")
    for cell in cells:
        space = "\n".join(f"{key}: {_range(value)}" for key, value in cell.search.items()) or "-"
        table.add_row(*cell.labels, str(cell.study.trials), str(cell.planned_finals), escape(space))
    Console().print(table)
    trials = sum(cell.study.trials for cell in cells)
    finals = sum(cell.planned_finals for cell in cells)
    for note in planned.notes:
        print(note)
    repeats = sum(cell.planned_repeats for cell in cells)
    repeated = f", {repeats} of them repeated," if repeats else ""
    print(f"{trials} trials{repeated} and {finals} finals; results go to {planned.results}")
    for dataset in planned.experiment.datasets:
        if dataset.transfer:
            print(f"finals of {dataset.label} are tested on {', '.join(one.label for one in dataset.transfer)} too")
    needed = downloads(cells)
    for user, download in needed:
        size = "size unknown without a network" if download.size is None else file_size(download.size)
        print(f"{download.name} for {user}: {size}, {'in the cache' if download.cached else 'to be downloaded'}")
    missing = [d for _, d in needed if not d.cached]
    unknown = " and what the hub does not tell offline" if any(d.size is None for d in missing) else ""
    print(f"to download: {file_size(sum(d.size or 0 for d in missing))}{unknown}")
    for entry, source in unaccepted(cells, accepted):
        said = f"if you accept its terms, add --accept-license {entry.name}"
        print(f"model {entry.name} is opt-in ({source.license}): {said}")


def show_time(planned: Plan) -> None:
    """Print what the cells take on this machine, if it was measured, or how to find out."""
    from bench.planning.places import this_machine

    workers, threads = planned.engine.workers, planned.threads
    on = this_machine(workers, threads, planned.experiment.runtime.device) if planned.engine.on_this_machine else None
    if on is not None:
        from bench.cli.plan import show_estimates

        show_estimates(planned, on)
        return
    print(
        f"time: not known; 'bench calibrate --workers {workers}' measures this machine in a minute, "
        "'bench plan FILE --device h100' tells it for a GPU"
    )


def _range(distribution: Distribution) -> str:
    if isinstance(distribution, Choice):
        return ", ".join(map(str, distribution.choices))
    scale = " (log)" if distribution.log else ""
    return f"{distribution.low:g} to {distribution.high:g}{scale}"
