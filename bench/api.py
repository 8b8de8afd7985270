"""An experiment from Python, and what the command line is made of: plan it, execute it, read its results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.engines import Engine, engines
from bench.manifest import Manifest, Planned, portable_path
from bench.records import TrialRecord
from bench.spec import Cell, Experiment
from bench.studies.cells import plan_cells
from bench.studies.experiment_file import load_experiment, parse_experiment
from bench.studies.prepare import check_licenses, prepare
from bench.studies.watcher import Watcher

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Plan:
    """An experiment, checked and ready to be executed."""

    experiment: Experiment
    cells: list[Cell]
    results: Path
    engine: Engine
    manifest: Manifest


def run(
    experiment: str | Path | Experiment | Mapping[str, Any],
    results: str | Path | None = None,
    *,
    changes: Sequence[str] = (),
    workers: int | None = None,
    engine: str | None = None,
    accept_licenses: Iterable[str] = (),
) -> pd.DataFrame:
    """Run an experiment, or go on with one that was interrupted: ``bench run`` without the printing.

    Args:
        experiment: an experiment file, or what would be in it.
        results: the results folder; ``results/<name of the experiment>`` by default.
        changes: changes on top of it, as ``--set`` takes them, such as ``"study.trials=4"``.
        workers: trials that run at the same time.
        engine: where trials run: a name that ``bench list engines`` lists.
        accept_licenses: names of opt-in models whose licence you accept.

    Returns:
        All runs that count, one a row (see `bench.load_results`), those that failed included.

    Raises:
        BenchError: what was asked for cannot be done; the message says why.
    """
    from bench.reporting import load_results

    planned = plan(experiment, results, changes=changes, workers=workers, engine=engine)
    execute(planned, [*planned.experiment.accept_licenses, *accept_licenses])
    return load_results(planned.results)


def plan(
    experiment: str | Path | Experiment | Mapping[str, Any],
    results: str | Path | None = None,
    *,
    changes: Sequence[str] = (),
    workers: int | None = None,
    engine: str | None = None,
) -> Plan:
    """Read and check an experiment; nothing is written or fetched. Arguments are those of `run`."""
    file: str | None = None
    if isinstance(experiment, str | Path):
        where, file = str(experiment), portable_path(Path(experiment))
        asked = load_experiment(experiment, changes)
    else:
        where = "experiment"
        data = experiment.model_dump() if isinstance(experiment, Experiment) else experiment
        asked = parse_experiment(data, where, changes)
    cells = plan_cells(asked, where)
    folder = Path(results) if results is not None else Path("results") / asked.name
    return Plan(
        experiment=asked,
        cells=cells,
        results=folder,
        engine=engines.build(
            engine or asked.engine,
            {"workers": workers or asked.workers, "log_folder": folder / "logs"},
            f"{where}: engine" if engine is None else "--engine",
        ),
        manifest=Manifest(
            experiment=asked.model_dump(mode="json"),
            file=file,
            changes=tuple(changes),
            cells={cell.path: Planned(trials=cell.study.trials, finals=cell.planned_finals) for cell in cells},
        ),
    )


def execute(
    planned: Plan,
    accepted: Iterable[str] = (),
    watcher: Watcher | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[TrialRecord]:
    """Run what a plan says and return all records that count; what is on disk already is not run again.

    Args:
        planned: the plan.
        accepted: names of opt-in models whose licence the user accepts.
        watcher: hears of every run.
        say: told of what takes a while before the first run.
    """
    check_licenses(planned.cells, accepted)
    # Only now: importing optuna takes a moment that a typo should not have to wait for.
    from bench.studies.driver import Driver

    with Driver(planned.manifest, planned.cells, planned.results, planned.engine, watcher or Watcher()) as driver:
        prepare(planned.cells, say)
        return driver.run()
