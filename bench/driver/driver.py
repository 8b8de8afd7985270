"""The driver: one process that asks the studies, feeds the engine, writes the records, and tells the studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.driver.cell_run import CellRun
from bench.driver.lock import Lock, check_owner, lock_cells, lock_folder
from bench.driver.signals import Signals
from bench.driver.watcher import Watcher
from bench.engines.base import Engine, Pool
from bench.experiment.cell import Cell
from bench.runs.manifest import Manifest
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.runs.store import RecordStore
from bench.search.database import Database

POLL_SECONDS = 0.5


class Driver:
    """Runs the cells of an experiment to their end; whatever is on disk already is not run again.

    It locks its cells until it is closed (it is a context manager).

    Args:
        manifest: what was asked for; written into the results folder.
        cells: what to run, in this order.
        storage: URL of the database for Optuna's tools; None is ``study.db`` in the results folder.
        retry_failed: run again what did not end well.
        shard: run beside other drivers of the folder: cells that they run are left to them, and so is ``study.db``.

    Raises:
        BadInput: the folder belongs to another experiment, is in use or cannot be written.
    """

    def __init__(
        self,
        manifest: Manifest,
        cells: Sequence[Cell],
        results: Path,
        engine: Engine,
        watcher: Watcher,
        storage: str | None = None,
        retry_failed: bool = False,
        shard: bool = False,
    ) -> None:
        self.store = RecordStore(results)
        self._manifest = manifest
        self._engine = engine
        self._watcher = watcher
        self._signals = Signals()
        self._locks: list[Lock] = []
        try:
            check_owner(results, manifest)
            if not shard:
                self._locks.append(lock_folder(results))
            ours, others = lock_cells(results, cells)
            self._locks += ours.values()
            for cell in cells:
                if cell.path in others:
                    watcher.warn(f"{cell.title}: {others[cell.path]} runs it; it is left to that one")
            # What is read before a cell is locked may change.
            self.cells = [CellRun(manifest.name, cell, self.store, retry_failed) for cell in cells if cell.path in ours]
            for path in self.store.set_aside:
                watcher.warn(f"{path}: a damaged record; it was set aside, and its run is repeated")
            self._database: Database | None = None
            if storage or not shard:
                trials = [(run.cell, run.trials) for run in self.cells if run.cell.search]
                self._database = Database(results, storage, manifest.name, trials, watcher.warn)
        except BaseException:
            self.close()
            raise
        self._manifest_due = True
        self._by_path = {run.path: run for run in self.cells}

    @property
    def records(self) -> list[TrialRecord]:
        """All records that count so far, without their training curves."""
        return [record for run in self.cells for record in run.records]

    def run(self, infeasible: Mapping[str, str] | None = None) -> list[TrialRecord]:
        """Run everything that is missing and return all records that count, without their training curves.

        Args:
            infeasible: why no trial of a cell can run, by the cell's path; one record of it says so.

        On any exception, Ctrl-C included, workers are stopped; finished records stay on disk.
        """
        with self._signals:
            return self._run(infeasible or {})

    def _run(self, infeasible: Mapping[str, str]) -> list[TrialRecord]:
        if Manifest.read(self.store.root) is None:
            self._write_manifest()
        pool = self._engine.start(self)
        try:
            self._watcher.begin(self.records)
            for run in self.cells:
                if run.path in infeasible:
                    self._refuse(run, infeasible[run.path])
            self._update_database()
            while True:
                self._signals.check()
                self._submit(pool)
                if all(run.done for run in self.cells):
                    self._write_manifest()
                    return self.records
                for record in pool.poll(POLL_SECONDS):
                    self._take_in(record)
                self._update_database()
        finally:
            pool.close()
            self._watcher.end()
            if self._database is not None:
                self._database.close()
            self._say_stopped()

    def _refuse(self, run: CellRun, reason: str) -> None:
        """Write one record of a cell that cannot run, unless there is one."""
        spec = run.refuse(reason)
        if spec is not None:
            self._watcher.started(spec)
            self._take_in(TrialRecord.of(spec, status="infeasible", reason=reason))

    def _write_manifest(self) -> None:
        """Write down what was asked for.

        Over that of an earlier run only once something runs as it was asked for: what is refused at its first trial,
        such as a device that is not there, has to leave the folder as it was.
        """
        if self._manifest_due:
            self._manifest.write(self.store.root)
            self._manifest_due = False

    def _update_database(self) -> None:
        if self._database is not None:
            self._database.flush()

    def close(self) -> None:
        """Unlock the results folder."""
        while self._locks:
            self._locks.pop().release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Pass on what the engine hears."""
        self._signals.check()
        self._write_manifest()
        self._watcher.progress(spec, step, steps, loss)

    def validated(self, spec: TrialSpec, step: int, value: float) -> bool:
        """Ask the trial's study whether to go on."""
        self._signals.check()
        self._write_manifest()
        self._watcher.validated(spec, step, value)
        return not self._by_path[spec.cell.path].should_prune(spec, step, value)

    def _take_in(self, record: TrialRecord) -> None:
        # The trial itself cannot know what ran beside it.
        beside = record.provenance.model_copy(update={"workers": self._engine.workers})
        record = record.model_copy(update={"provenance": beside})
        run = self._by_path[record.cell_path]
        if run.retry(record):
            self._watcher.retried(record)
            return
        self._write_manifest()
        # Written before anybody acts on it: what the study was told, a restarted driver has to find.
        self.store.write(record)
        run.finish(record)
        self._watcher.finished(record)

    def _submit(self, pool: Pool) -> None:
        while pool.free():
            ready = [run for run in self.cells if run.ready]
            if not ready:
                return
            # A cell with nothing running first: within a cell a study learns most from trials one by one.
            run = min(ready, key=lambda r: r.running)
            spec = run.next_spec()
            self._watcher.started(spec)
            pool.submit(spec, self.store.artifacts(spec))

    def _say_stopped(self) -> None:
        for run in self.cells:
            ended, trials = len(run.trials), run.cell.study.trials
            if ended < trials and run.stopped is not None:
                self._watcher.warn(f"{run.cell.title}: {ended} of {trials} trials have run, no more: {run.stopped}")
