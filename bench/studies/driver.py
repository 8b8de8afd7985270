"""The driver: one process that asks the studies, feeds the engine, writes the records, and tells the studies."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from bench.config import derive_seed
from bench.engines.base import Engine, Pool
from bench.errors import BadInput
from bench.manifest import Manifest
from bench.records import RecordStore, TrialRecord, best_trial, finals_of, make_writable
from bench.spec import Cell, TrialSpec
from bench.studies.search import Search
from bench.studies.watcher import Watcher

POLL_SECONDS = 0.5

_LOCK, _HOLDER = ".driver.lock", ".driver.json"
_OURS = {_LOCK, _HOLDER, "records", "adapters", "logs"}
"""What may be in a folder whose manifest was removed."""


class CellRun:
    """One cell on its way: its trials, then its finals."""

    def __init__(self, experiment: str, cell: Cell, store: RecordStore) -> None:
        self.cell = cell
        self._experiment = experiment
        known = store.read_cell(cell.path)
        self._trials = {r.spec.number: r for r in known if r.spec.kind == "trial"}
        self._finals = {r.spec.hash: r for r in known if r.spec.kind == "final"}
        self._search = Search(cell, self._trials.values())
        self._running: dict[str, TrialSpec] = {}
        self._retries: list[TrialSpec] = []
        self._attempts: dict[str, int] = {}

    @property
    def records(self) -> list[TrialRecord]:
        """What has ended so far and counts: the trials, and the finals of the best of them."""
        return [*self._trials.values(), *finals_of(self.best, self._finals.values())]

    @property
    def best(self) -> TrialRecord | None:
        """The best trial so far."""
        return best_trial(self._trials.values())

    @property
    def running(self) -> int:
        """Runs under way."""
        return len(self._running)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self._running and self.peek() is None

    def peek(self) -> str | None:
        """Return what `next_spec` would give: ``trial``, ``final`` or None if it has to wait or is through."""
        if self._retries:
            return "retry"
        if self._missing_trial() is not None:
            return "trial"
        if any(spec.kind == "trial" for spec in self._running.values()):
            return None
        return "final" if self._missing_final() is not None else None

    def next_spec(self) -> TrialSpec:
        """Return the next run to begin."""
        if self._retries:
            spec = self._retries.pop()
        elif (number := self._missing_trial()) is not None:
            spec = TrialSpec(
                experiment=self._experiment,
                cell=self.cell,
                kind="trial",
                number=number,
                seed=derive_seed(self.cell.seed, self.cell.hash, "trial", number),
                params=self._search.ask(number),
            )
        else:
            final = self._missing_final()
            assert final is not None, "nothing left to run"
            spec = final
        self._running[spec.hash] = spec
        return spec

    def should_prune(self, spec: TrialSpec, step: int, value: float) -> bool:
        """Ask the study about a running trial; a final is never pruned."""
        return spec.kind == "trial" and self._search.should_prune(spec.number, step, value)

    def finish(self, record: TrialRecord) -> bool:
        """Take the record of a run; False if the run is to be tried again and the record dropped."""
        spec = self._running.pop(record.spec_hash)
        self._attempts[spec.hash] = self._attempts.get(spec.hash, 0) + 1
        if record.status == "killed" and self._attempts[spec.hash] <= self.cell.runtime.retries:
            self._retries.append(spec)
            return False
        if spec.kind == "trial":
            self._trials[spec.number] = record
            self._search.tell(record)
        else:
            self._finals[spec.hash] = record
        return True

    def _missing_trial(self) -> int | None:
        running = {spec.number for spec in self._running.values() if spec.kind == "trial"}
        numbers = range(self.cell.study.trials)
        return next((n for n in numbers if n not in self._trials and n not in running), None)

    def _missing_final(self) -> TrialSpec | None:
        best = self.best
        if best is None:
            return None
        for number in range(self.cell.planned_finals):
            spec = TrialSpec(
                experiment=self._experiment,
                cell=self.cell,
                kind="final",
                number=number,
                # Not of the cell: the n-th final of every cell has the same seed, so that they can be paired.
                seed=derive_seed(self.cell.seed, "final", number),
                params=best.spec.params,
            )
            if spec.hash not in self._finals and spec.hash not in self._running:
                return spec
        return None


class Driver:
    """Runs the cells of an experiment to their end; whatever is on disk already is not run again.

    It holds the results folder until it is closed (it is a context manager).

    Args:
        manifest: what was asked for; written into the results folder.
        cells: what to run, in this order.
        results: the results folder.
        engine: where trials run.
        watcher: hears of everything.

    Raises:
        BadInput: the folder belongs to another experiment, is in use or cannot be written.
    """

    def __init__(
        self, manifest: Manifest, cells: Sequence[Cell], results: Path, engine: Engine, watcher: Watcher
    ) -> None:
        self.store = RecordStore(results)
        self._engine = engine
        self._watcher = watcher
        self._lock = _take(results)
        try:
            _claim(results, manifest)
            self.cells = [CellRun(manifest.name, cell, self.store) for cell in cells]
        except BaseException:
            self.close()
            raise
        self._by_path = {run.cell.path: run for run in self.cells}

    @property
    def records(self) -> list[TrialRecord]:
        """All records that count so far."""
        return [record for run in self.cells for record in run.records]

    def run(self) -> list[TrialRecord]:
        """Run everything that is missing and return all records that count.

        On any exception, Ctrl-C included, workers are stopped; finished records stay on disk.
        """
        pool = self._engine.start(self)
        try:
            self._watcher.begin(self.records)
            while True:
                self._submit(pool)
                if all(run.done for run in self.cells):
                    return self.records
                for record in pool.poll(POLL_SECONDS):
                    self._take_in(record)
        finally:
            pool.close()
            self._watcher.end()

    def close(self) -> None:
        """Let go of the results folder."""
        (self.store.root / _HOLDER).unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Pass on what the engine hears."""
        self._watcher.progress(spec, step, steps, loss)

    def validated(self, spec: TrialSpec, step: int, value: float) -> bool:
        """Ask the trial's study whether to go on."""
        return not self._by_path[spec.cell.path].should_prune(spec, step, value)

    def _take_in(self, record: TrialRecord) -> None:
        if self._by_path[record.cell_path].finish(record):
            self.store.write(record)
            self._watcher.finished(record)
        else:
            self._watcher.retried(record)

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


def _take(results: Path) -> FileLock:
    """Lock a results folder for this driver; the lock of a dead process is free by itself."""
    make_writable(results, "--results")
    lock = FileLock(results / _LOCK, timeout=0)
    holder = results / _HOLDER
    try:
        lock.acquire()
    except Timeout:
        try:
            who = json.loads(holder.read_text())
            by = f"process {who['pid']} on {who['host']} since {who['since']}"
        except (OSError, ValueError, KeyError):
            by = "another process"
        raise BadInput(f"{results}: in use by {by}; wait for it, or choose another folder by --results") from None
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
    return lock


def _claim(results: Path, manifest: Manifest) -> None:
    """Write the manifest, unless the folder is somebody else's."""
    owner = Manifest.read(results)
    if owner is None and any(entry.name not in _OURS for entry in results.iterdir()):
        raise BadInput(f"{results}: is not empty and no results folder; choose another by --results")
    if owner is not None and owner.name != manifest.name:
        raise BadInput(
            f"{results}: holds the results of experiment '{owner.name}', not of '{manifest.name}'; "
            "choose another folder by --results"
        )
    manifest.write(results)
