"""An experiment from Python, and what the command line is made of: plan it, execute it, read its results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput
from bench.core.labels import slug
from bench.core.patterns import choose
from bench.core.plugins import load_plugins, loaded_plugins
from bench.driver.shards import Shard
from bench.driver.watcher import Watcher
from bench.engines import Engine, engines
from bench.engines.base import cores
from bench.experiment.cautions import cautions
from bench.experiment.cell import Cell
from bench.experiment.expansion import plan_cells
from bench.experiment.file import assigned, load_experiment, parse_experiment
from bench.experiment.preparing import check_licenses, infeasible_cells, prepare
from bench.experiment.schema import Experiment
from bench.runs.manifest import Manifest, Planned, portable_path, without_password
from bench.runs.record import TrialRecord
from bench.search.samplers import check_study
from bench.trackers import Tracker, trackers

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Selection:
    """Which cells of an experiment to run this time; the others stay part of it."""

    only: tuple[str, ...] = ()
    """Patterns, see `bench.core.patterns.choose`."""
    skip: tuple[str, ...] = ()
    shard: Shard | None = None
    """Of the cells that the patterns leave, this share."""

    def of(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that are selected; a shard may have none.

        Raises:
            BadInput: a pattern that fits no cell, or the patterns leave nothing.
        """
        kept = choose(cells, self.only, self.skip)
        return kept if self.shard is None else self.shard.share(kept)


@dataclass(frozen=True)
class Plan:
    """An experiment, checked and ready to be executed."""

    experiment: Experiment
    cells: list[Cell]
    results: Path
    engine: Engine
    manifest: Manifest
    storage: str | None = None
    """URL of the database for Optuna's tools; None is a file in the results folder."""
    cautions: tuple[str, ...] = ()
    """What is allowed and yet likely to mislead, a sentence each (`bench.experiment.cautions`)."""
    trackers: Mapping[str, Tracker] = field(default_factory=dict)
    """By their labels."""
    notes: tuple[str, ...] = ()
    """What is other than asked for, such as fewer trials than asked for, in a line each."""
    shard: Shard | None = None

    def select(self, selection: Selection) -> Plan:
        """Return the plan with the selected cells alone; the manifest keeps all."""
        planned = replace(self, cells=selection.of(self.cells), shard=selection.shard)
        if selection.shard is None:
            return planned
        logs = self.results / "logs" / f"shard-{selection.shard.number}-of-{selection.shard.of}"
        return replace(planned, engine=self.engine.model_copy(update={"log_folder": logs}))

    @property
    def threads(self) -> int:
        """CPU threads that each worker has on this machine."""
        return self.experiment.runtime.threads or max(1, cores() // self.engine.workers)

    def with_cells(self, cells: Sequence[Cell], note: str) -> Plan:
        """Return the plan with its cells in other numbers of trials, in the manifest too, and a line that says so."""
        planned = {**self.manifest.cells, **{cell.path: Planned.of(cell) for cell in cells}}
        manifest = self.manifest.model_copy(update={"cells": planned})
        return replace(self, cells=list(cells), manifest=manifest, notes=(*self.notes, note))


def run(
    experiment: str | Path | Experiment | Mapping[str, Any],
    results: str | Path | None = None,
    *,
    changes: Sequence[str] = (),
    workers: int | None = None,
    engine: str | None = None,
    engine_options: Mapping[str, Any] | None = None,
    plugins: Iterable[str] = (),
    accept_licenses: Iterable[str] = (),
) -> pd.DataFrame:
    """Run an experiment, or go on with one that was interrupted: ``bench run`` without the printing.

    All arguments but ``accept_licenses``, the names of opt-in models whose licence you accept, are those of `plan`.

    Returns:
        All runs that count, one a row (see `bench.load_results`), those that failed included.

    Raises:
        BenchError: what was asked for cannot be done; the message says why.
    """
    from bench.reporting.frame import load_results

    planned = plan(
        experiment,
        results,
        changes=changes,
        workers=workers,
        engine=engine,
        engine_options=engine_options,
        plugins=plugins,
    )
    execute(planned, [*planned.experiment.accept_licenses, *accept_licenses])
    return load_results(planned.results)


def plan(
    experiment: str | Path | Experiment | Mapping[str, Any],
    results: str | Path | None = None,
    *,
    changes: Sequence[str] = (),
    workers: int | None = None,
    engine: str | None = None,
    engine_options: Mapping[str, Any] | None = None,
    plugins: Iterable[str] = (),
) -> Plan:
    """Read and check an experiment; nothing is written or fetched.

    Args:
        experiment: an experiment file, or what would be in it.
        results: the results folder; ``results/<slug of the experiment's name>`` by default.
        changes: changes on top of it, as ``--set`` takes them, such as ``"study.trials=4"``.
        workers: trials that run at the same time.
        engine: where trials run: a name that ``bench list engines`` lists.
        engine_options: settings of the engine, over those of the file.
        plugins: plug-in files besides those that the experiment names.

    Raises:
        BadInput: what is wrong in the experiment or among the arguments.
    """
    file: str | None = None
    if not isinstance(experiment, str | Path | Experiment | Mapping):
        raise BadInput(
            f"experiment: expected the path of a file, a mapping as in a file, or an Experiment, found {experiment!r}"
        )
    if isinstance(experiment, str | Path):
        where, file = str(experiment), portable_path(Path(experiment))
        asked = load_experiment(experiment, changes)
    else:
        where = "experiment"
        data = experiment.model_dump() if isinstance(experiment, Experiment) else experiment
        asked = parse_experiment(data, where, changes)
    files = dict.fromkeys([*asked.plugins, *plugins])
    load_plugins(files)
    notes: list[str] = []
    cells = plan_cells(asked, where, notes.append)
    for cell in cells:
        check_study(cell.study, cell.training, f"{where}: study")
    folder = Path(results) if results is not None else Path("results") / slug(asked.name)
    return Plan(
        experiment=asked,
        cells=cells,
        results=folder,
        engine=engines.get(engine or asked.engine, f"{where}: engine" if engine is None else "--engine").parse(
            {
                # Those of the file are of the file's engine; those said beside another engine are of that one.
                **(asked.engine_options if engine in (None, asked.engine) else _engine_options(changes)),
                **(engine_options or {}),
                "workers": workers or asked.workers,
                "log_folder": folder / "logs",
            },
            f"{where}: engine_options",
        ),
        manifest=Manifest(
            experiment=_without_password(asked).model_dump(mode="json"),
            file=file,
            changes=tuple(change for change in changes if not change.startswith("study.storage=")),
            plugins=tuple(plugin for plugin in loaded_plugins() if plugin.file in files),
            cells={cell.path: Planned.of(cell) for cell in cells},
        ),
        storage=asked.study.storage,
        cautions=tuple(cautions(asked, cells)),
        trackers={
            entry.label: trackers.build(entry.name, entry.options, f"{where}: tracker {entry.label}")
            for entry in asked.trackers
        },
        notes=tuple(notes),
    )


def _engine_options(changes: Sequence[str]) -> dict[str, Any]:
    """Return the settings of the engine that changes alone make."""
    own = [change for change in changes if change.partition("=")[0].split(".")[0] == "engine_options"]
    options: dict[str, Any] = assigned({}, own).get("engine_options", {})
    return options


def _without_password(asked: Experiment) -> Experiment:
    """Return an experiment as it may be written down."""
    url = asked.study.storage
    shown = [
        entry.model_copy(
            update={"options": {k: without_password(v) if isinstance(v, str) else v for k, v in entry.options.items()}}
        )
        for entry in asked.trackers
    ]
    study = asked.study.model_copy(update={"storage": without_password(url) if url else None})
    return asked.model_copy(update={"study": study, "trackers": shown})


def execute(
    planned: Plan,
    accepted: Iterable[str] = (),
    watcher: Watcher | None = None,
    say: Callable[[str], None] = lambda text: None,
    *,
    retry_failed: bool = False,
    force: bool = False,
) -> list[TrialRecord]:
    """Run what a plan says and return all records that count; what is on disk already is not run again.

    The records that are returned lack their training curves; `bench.load_results` and the files have all of them.

    Args:
        planned: the plan.
        accepted: names of opt-in models whose licence the user accepts.
        watcher: hears of every run.
        say: told of what takes a while before the first run.
        retry_failed: run again every trial that did not end well.
        force: try cells, too, that are predicted not to fit into this machine's memory.
    """
    check_licenses(planned.cells, accepted)
    for tracker in planned.trackers.values():
        tracker.check()
    # Only now: importing optuna takes a moment that a typo should not have to wait for.
    from bench.driver.driver import Driver
    from bench.trackers.feed import Feed

    watcher = watcher or Watcher()
    if planned.trackers:
        watcher = Feed(watcher, planned.trackers, planned.results, planned.manifest.name)
    with Driver(
        planned.manifest,
        planned.cells,
        planned.results,
        planned.engine,
        watcher,
        planned.storage,
        retry_failed,
        shard=planned.shard is not None,
    ) as driver:
        for note in planned.notes:
            say(note)
        prepare(planned.cells, say)
        infeasible = infeasible_cells(planned.cells)
        if planned.engine.on_this_machine and not force:
            from bench.planning.estimating import too_large_cells

            infeasible |= too_large_cells([cell for cell in planned.cells if cell.path not in infeasible], say)
        return driver.run(infeasible)
