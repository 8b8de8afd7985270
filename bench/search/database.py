"""The studies as a database that Optuna's own tools open: written from the records, never their source.

The driver alone writes it, a trial as soon as its record is on disk and all earlier numbers of its study are there,
so that Optuna's trial numbers are ours. In a database of a team nothing is ever deleted: where a study of our name is
not what the records say (runs were repeated, records removed), the trials go to another one, ``<name>~2`` and so on.
In the results folder's own file such a study is written anew. Whatever happens to the database, no result depends on
it: trouble with it is a warning.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.config import content_hash
from bench.core.errors import BadInput, one_line
from bench.core.files import write_atomic
from bench.experiment.cell import Cell
from bench.runs.manifest import without_password
from bench.runs.record import TrialRecord
from bench.runs.store import RecordStore
from bench.search.space import distributions
from bench.search.study import directions, frozen

if TYPE_CHECKING:
    import optuna

FILENAME = "study.db"
WRITE_SECONDS = 1.0
"""At most one attempt to write in this time, until the end."""
RETRY_SECONDS = 30.0
"""After trouble with the database, how long until the next attempt."""

Trials = Mapping[int, TrialRecord]
"""The trials of a cell by number."""


class Database:
    """Brings a database up to the records.

    Args:
        url: of a database that SQLAlchemy knows; None is ``study.db`` in the results folder.
        experiment: begins the studies' names.
        cells: the cells whose studies are kept, each with its trials, to which the driver adds.
        warn: told once of trouble.
    """

    def __init__(
        self,
        results: Path,
        url: str | None,
        experiment: str,
        cells: Iterable[tuple[Cell, Trials]],
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._file = None if url else results / FILENAME
        self._url = url or f"sqlite:///{(results / FILENAME).absolute()}"
        self._warn = warn
        self._warned = False
        self._storage: Any = None
        # Nobody but this folder writes its own file; of a database that many share, names have to tell whose they are.
        whose = f"@{folder_id(results)}" if url else ""
        self._studies = [
            _Study(f"{experiment}/{cell.path}{whose}", url is None, cell, trials) for cell, trials in cells
        ]
        self._not_before = 0.0

    @property
    def place(self) -> str:
        """Where it is, as it may be shown."""
        return str(self._file or without_password(self._url))

    def flush(self) -> None:
        """Write what is new, unless the last attempt was just now; trouble is a warning."""
        if time.monotonic() < self._not_before or not any(study.behind for study in self._studies):
            return
        self._not_before = time.monotonic() + WRITE_SECONDS
        try:
            self.write()
        except Exception as error:  # sqlalchemy, drivers and Optuna raise what they like; no result depends on it
            self._not_before = time.monotonic() + RETRY_SECONDS
            if not self._warned:
                self._warned = True
                self._warn(
                    f"the database {self.place} cannot be written ({_cause(error)}); the run goes on, "
                    "and 'bench rebuild' writes it from the records"
                )

    def write(self) -> int:
        """Write what is new; return how many trials the database has of these studies."""
        if self._storage is None:
            self._storage = _open_storage(self._url, self._file)
        return sum(study.write(self._storage) for study in self._studies)

    def close(self) -> None:
        """Write what is still new, and let go of all connections."""
        self._not_before = 0.0
        self.flush()
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()
            self._storage = None


class _Study:
    """One cell's study in the database."""

    def __init__(self, name: str, own: bool, cell: Cell, trials: Trials) -> None:
        self._name, self._own, self._cell, self._trials = name, own, cell, trials
        self._space = distributions(cell)
        self._written = 0
        self._study: optuna.Study | None = None

    @property
    def behind(self) -> bool:
        """Whether there is something to write."""
        return self._written in self._trials

    def write(self, storage: Any) -> int:
        """Write the trials whose turn has come; return how many are there now."""
        study, self._study = self._study, None  # after trouble nobody knows what has arrived
        if study is None:
            study = self._open(storage)
        while self._written in self._trials:
            study.add_trial(frozen(self._trials[self._written], self._space))
            self._written += 1
        self._study = study
        return self._written

    def _open(self, storage: Any) -> optuna.Study:
        """Return the first study of our name whose trials are those of the records, as far as they go."""
        import optuna

        for number in itertools.count(1):
            name = self._name if number == 1 or self._own else f"{self._name}~{number}"
            wanted = directions(self._cell)
            study = optuna.create_study(study_name=name, storage=storage, directions=wanted, load_if_exists=True)
            there = study.get_trials(deepcopy=False)
            if study.directions == wanted and all(
                n in self._trials and _content(trial) == _content(frozen(self._trials[n], self._space))
                for n, trial in enumerate(there)
            ):
                self._written = len(there)
                return study
            if self._own:
                optuna.delete_study(study_name=name, storage=storage)
        raise AssertionError("numbers do not end")


def _content(trial: optuna.trial.FrozenTrial) -> list[Any]:
    """Return what a trial says, without when it was written."""
    return [trial.state, trial.values, trial.params, trial.distributions, trial.intermediate_values, trial.user_attrs]


def folder_id(results: Path) -> str:
    """Return the id of a results folder, made when it is first asked for.

    A copy of a folder has another one: the number of the file on its disk is part of it. So a copy that goes on never
    writes into the studies of the original. A folder that has moved to another disk counts as a copy.
    """
    path = results / ".folder-id"
    if not path.exists():
        write_atomic(path, secrets.token_hex(8).encode())
    return content_hash([path.read_text(), path.stat().st_ino])[:8]


def rebuild(results: Path, url: str | None, experiment: str, cells: Sequence[Cell]) -> int:
    """Write the records of cells into the database and return how many trials it holds of them.

    ``study.db`` of the results folder is written anew.

    Raises:
        BadInput: the database cannot be written.
    """
    store = RecordStore(results)
    trials = [
        (cell, {r.spec.number: r for r in store.iter_cell(cell.path) if r.spec.kind == "trial"})
        for cell in cells
        if cell.search
    ]
    database = Database(results, url, experiment, trials)
    try:
        if url is None:
            (results / FILENAME).unlink(missing_ok=True)
        written = database.write()
    except Exception as error:  # see `flush`
        raise BadInput(f"{database.place}: cannot be written: {_cause(error)}") from error
    database.close()
    return written


def _open_storage(url: str, file: Path | None) -> Any:
    """Return Optuna's storage behind a URL; a damaged SQLite file of our own is set aside first."""
    from optuna.storages import RDBStorage

    if file is not None and file.is_file() and file.stat().st_size:
        with file.open("rb") as opened:
            if opened.read(16) != b"SQLite format 3\0":
                file.replace(file.with_suffix(".db.corrupt"))
    # A dashboard that reads holds it for less than two seconds.
    sqlite = {"connect_args": {"timeout": 2.0}}
    return RDBStorage(url, engine_kwargs=sqlite if url.startswith("sqlite") else {})


def _cause(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return one_line(getattr(cause, "orig", None) or cause)
