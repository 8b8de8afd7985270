"""The driver: one process that asks the studies, feeds the engine, writes the records, and tells the studies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench.driver.cell_run import CellRun
from bench.driver.lock import check_owner, let_go, take
from bench.driver.signals import Signals
from bench.driver.watcher import Watcher
from bench.engines.base import Engine, Pool
from bench.experiment.cell import Cell
from bench.runs.manifest import Manifest
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.runs.store import RecordStore
from bench.search.database import Mirror

POLL_SECONDS = 0.5


class Driver:
    """Runs the cells of an experiment to their end; whatever is on disk already is not run again.

    It holds the results folder until it is closed (it is a context manager).

    Args:
        manifest: what was asked for; written into the results folder when the first run begins.
        cells: what to run, in this order.
        results: the results folder.
        engine: where trials run.
        watcher: hears of everything.
        storage: URL of the database for Optuna's tools; None is ``study.db`` in the results folder.
        retry_failed: run again what did not end well.

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
    ) -> None:
        self.store = RecordStore(results)
        self._manifest = manifest
        self._engine = engine
        self._watcher = watcher
        self._signals = Signals()
        self._lock = take(results)
        try:
            check_owner(results, manifest)
            self._mirror = Mirror(results, storage, manifest.name, cells, self.store, watcher.warn)
            self.cells = [
                CellRun(manifest.name, cell, self.store, retry_failed, found=self._mirror.add) for cell in cells
            ]
            for path in self.store.set_aside:
                watcher.warn(f"{path}: a damaged record; it was set aside, and its run is repeated")
        except BaseException:
            self.close()
            raise
        self._by_path = {run.path: run for run in self.cells}

    @property
    def records(self) -> list[TrialRecord]:
        """All records that count so far, without their curves."""
        return [record for run in self.cells for record in run.records]

    def run(self) -> list[TrialRecord]:
        """Run everything that is missing and return all records that count, without their curves.

        On any exception, Ctrl-C included, workers are stopped; finished records stay on disk.
        """
        with self._signals:
            return self._run()

    def _run(self) -> list[TrialRecord]:
        self._manifest.write(self.store.root)
        pool = self._engine.start(self)
        try:
            self._watcher.begin(self.records)
            self._mirror.flush()
            while True:
                self._signals.check()
                self._submit(pool)
                if all(run.done for run in self.cells):
                    return self.records
                for record in pool.poll(POLL_SECONDS):
                    self._take_in(record)
                self._mirror.flush()
        finally:
            pool.close()
            self._watcher.end()
            self._mirror.close()
            self._say_stopped()

    def close(self) -> None:
        """Let go of the results folder."""
        let_go(self._lock, self.store.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Pass on what the engine hears."""
        self._signals.check()
        self._watcher.progress(spec, step, steps, loss)

    def validated(self, spec: TrialSpec, step: int, value: float) -> bool:
        """Ask the trial's study whether to go on."""
        self._signals.check()
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
        # Written before anybody acts on it: what the study was told, a restarted driver has to find.
        self.store.write(record)
        run.finish(record)
        self._mirror.add(record)
        self._watcher.finished(record)

    def _submit(self, pool: Pool) -> None:
        while pool.free():
            ready = [run for run in self.cells if run.peek()]
            if not ready:
                return
            # A cell with nothing running first: within a cell a study learns most from trials one by one.
            run = min(ready, key=lambda r: r.running)
            spec = run.next_spec()
            self._watcher.started(spec)
            pool.submit(spec, self.store.artifacts(spec))

    def _say_stopped(self) -> None:
        for run in self.cells:
            if run.ended < run.cell.study.trials and run.stopped is not None:
                self._watcher.warn(
                    f"{run.cell.title}: {run.ended} of {run.cell.study.trials} trials have run, no more: {run.stopped}"
                )
