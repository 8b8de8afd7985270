"""The studies as a database that Optuna's own tools open: a mirror of the records, never their source.

The driver alone writes it, a trial as soon as its record is on disk and all earlier numbers of its study are there,
so that Optuna's trial numbers are ours; trials that end at a quick pace are written together, once a second.
Whatever happens to the database, no result depends on it: trouble with it is a warning, and ``bench rebuild`` makes
it anew from the records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput
from bench.experiment.cell import Cell
from bench.runs.manifest import without_password
from bench.runs.record import TrialRecord
from bench.runs.store import RecordStore
from bench.search.bulk import insert_trials, number_of_same
from bench.search.compact import PackedTrial
from bench.search.study import directions, distributions, frozen

if TYPE_CHECKING:
    import optuna

FILENAME = "study.db"
WRITE_SECONDS = 1.0
"""At most one attempt to write in this time, until the end."""
RETRY_SECONDS = 30.0
"""After trouble with the database, how long until the next attempt."""


class Mirror:
    """Keeps a database as the records are.

    Args:
        results: the results folder.
        url: of a database that SQLAlchemy knows; None is ``study.db`` in the results folder.
        experiment: begins the studies' names.
        cells: the cells whose studies are kept.
        store: where their records are.
        warn: told once of trouble.
    """

    def __init__(
        self,
        results: Path,
        url: str | None,
        experiment: str,
        cells: Sequence[Cell],
        store: RecordStore,
        warn: Callable[[str], None],
    ) -> None:
        self._file = None if url else results / FILENAME
        self._url = url or _sqlite(results)
        self._warn = warn
        self._warned = False
        self._storage: Any = None
        self._studies = {cell.path: _Study(f"{experiment}/{cell.path}", cell, store) for cell in cells if cell.search}
        self._not_before = 0.0

    def add(self, record: TrialRecord) -> None:
        """Take in a record that is on disk: before the first `flush` each one, then each new one."""
        study = self._studies.get(record.cell_path)
        if study is not None and record.spec.kind == "trial":
            study.hold(record)

    def close(self) -> None:
        """Write what is still held back, and close the database."""
        self._not_before = 0.0
        self.flush()
        if self._storage is not None:
            close_storage(self._storage)
            self._storage = None

    def flush(self) -> None:
        """Write what has been taken in, unless the last attempt was just now."""
        if time.monotonic() < self._not_before or not any(study.behind for study in self._studies.values()):
            return
        self._not_before = time.monotonic() + WRITE_SECONDS
        try:
            if self._storage is None:
                self._storage = open_storage(self._url, self._file)
            for study in self._studies.values():
                study.write(self._storage)
        except Exception as error:  # sqlalchemy, drivers and Optuna raise what they like; no result depends on it
            self._not_before = time.monotonic() + RETRY_SECONDS
            if not self._warned:
                self._warned = True
                where = self._file or without_password(self._url)
                self._warn(
                    f"the database {where} cannot be written ({_first_line(error)}); the run goes on, "
                    "and 'bench rebuild' writes it from the records"
                )


class _Study:
    """One cell's study in the database, and the trials that it still lacks."""

    def __init__(self, name: str, cell: Cell, store: RecordStore) -> None:
        self._name = name
        self._cell = cell
        self._store = store
        self._space = distributions(cell)
        self._held: dict[int, optuna.trial.FrozenTrial] = {}
        self._shapes: dict[Any, Any] = {}
        self._written = 0
        self._study: optuna.Study | None = None

    @property
    def written(self) -> int:
        """Trials in the database."""
        return self._written

    @property
    def behind(self) -> bool:
        """Whether there is something to write."""
        return self._study is None or self._written in self._held

    def hold(self, record: TrialRecord) -> None:
        """Keep a trial until its turn has come."""
        if record.spec.number < self._written:
            self._study = None  # a run that was repeated: the database has what it was before
        else:
            self._held[record.spec.number] = PackedTrial(frozen(record, self._space), self._shapes)

    def write(self, storage: Any) -> None:
        """Write what is held back and in turn."""
        if self._study is None:
            self._study = self._open(storage)
        ready: list[optuna.trial.FrozenTrial] = []
        while (trial := self._held.get(self._written + len(ready))) is not None:
            ready.append(trial)
        if ready:
            insert_trials(storage, self._study._study_id, ready, first=self._written)
            for trial_number in range(self._written, self._written + len(ready)):
                del self._held[trial_number]
            self._written += len(ready)

    def _open(self, storage: Any) -> optuna.Study:
        """Return the study, with no trial in it that the records do not know."""
        import optuna

        def opened() -> optuna.Study:
            return optuna.create_study(
                study_name=self._name, storage=storage, directions=directions(self._cell), load_if_exists=True
            )

        if self._written or not self._held:  # else they are what is held, for nothing was written yet
            self._written = 0
            for record in self._store.iter_cell(self._cell.path):
                if record.spec.kind == "trial":
                    self.hold(record)
        study = opened()
        there = number_of_same(storage, study._study_id, self._held)
        if there is None:
            optuna.delete_study(study_name=self._name, storage=storage)
            study, there = opened(), 0
        self._written = there
        self._held = {number: trial for number, trial in self._held.items() if number >= there}
        return study


def rebuild(results: Path, url: str | None, experiment: str, cells: Sequence[Cell]) -> int:
    """Write the database anew from the records and return how many trials it holds.

    Raises:
        BadInput: the database cannot be written.
    """
    store = RecordStore(results)
    file = None if url else results / FILENAME
    try:
        if file is not None:
            file.unlink(missing_ok=True)
        storage = open_storage(url or _sqlite(results), file)
        studies = [_Study(f"{experiment}/{cell.path}", cell, store) for cell in cells if cell.search]
        written = 0
        for study in studies:
            study.write(storage)
            written += study.written
        close_storage(storage)
    except Exception as error:  # see Mirror
        raise BadInput(f"{file or without_password(str(url))}: cannot be written: {_first_line(error)}") from error
    return written


def open_storage(url: str, file: Path | None) -> Any:
    """Return Optuna's storage behind a URL; a damaged SQLite file of our own is set aside first."""
    import sqlalchemy
    from optuna.storages import RDBStorage

    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": 2.0}}  # a dashboard that reads holds it for less
        if (
            file is not None
            and file.is_file()
            and file.stat().st_size
            and not file.open("rb").read(16).startswith(_MAGIC)
        ):
            file.replace(file.with_suffix(".db.corrupt"))
    storage = RDBStorage(url, engine_kwargs=options)
    if url.startswith("sqlite"):
        # The records are safe already; what a power cut takes from the mirror is written again from them.
        @sqlalchemy.event.listens_for(storage.engine, "connect")
        def _relax(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA synchronous=OFF")

        storage.remove_session()
        storage.engine.dispose()
    return storage


def close_storage(storage: Any) -> None:
    """Let go of all connections."""
    storage.remove_session()
    storage.engine.dispose()


_MAGIC = b"SQLite format 3\0"


def _sqlite(results: Path) -> str:
    return f"sqlite:///{(results / FILENAME).absolute()}"


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0] or type(error).__name__
