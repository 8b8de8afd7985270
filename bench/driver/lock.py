"""Locks of a results folder: one driver at a time runs a cell, and one at a time has the folder to itself."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from bench.core.config import content_hash
from bench.core.errors import BadInput
from bench.core.files import make_writable
from bench.experiment.cell import Cell
from bench.runs.manifest import Manifest

_FOLDER, _CELLS = ".driver", ".locks"
_OURS = {"records", "adapters", "logs", "study.db", "study.db-journal", "study.db.corrupt"}
"""What may be in a folder whose manifest was removed, or not written yet, beside what is hidden."""


class Lock:
    """The operating system's lock of a file: that of a dead process is free at once. A file beside it names the holder.

    Args:
        path: of the two files, without their endings.
    """

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
        self._named = path.with_name(f"{path.name}.txt")

    def acquire(self) -> bool:
        """Lock, unless somebody else has."""
        try:
            self._lock.acquire()
        except Timeout:
            return False
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        self._named.write_text(f"process {os.getpid()} on {socket.gethostname()} since {since}")
        return True

    def release(self) -> None:
        """Unlock."""
        self._named.unlink(missing_ok=True)
        self._lock.release()

    @property
    def holder(self) -> str:
        """Who has locked it."""
        try:
            return self._named.read_text() or "another process"
        except OSError:
            return "another process"


def lock_folder(results: Path) -> Lock:
    """Lock a whole results folder: for a run that is no shard, and for what writes its database.

    Raises:
        BadInput: another driver has locked it (with its host and process id), or it cannot be written.
    """
    make_writable(results, "--results")
    lock = Lock(results / _FOLDER)
    if not lock.acquire():
        raise _in_use(results, lock)
    return lock


def lock_cells(results: Path, cells: Sequence[Cell]) -> tuple[dict[str, Lock], dict[str, str]]:
    """Lock the cells that nobody runs.

    Returns:
        the locks by the cell's path, and who runs the others.

    Raises:
        BadInput: others run all of them, or the folder cannot be written.
    """
    make_writable(results / _CELLS, "--results")
    ours, others = dict[str, Lock](), dict[str, str]()
    for cell in cells:
        lock = Lock(results / _CELLS / content_hash(cell.path)[:16])
        if lock.acquire():
            ours[cell.path] = lock
        else:
            others[cell.path] = lock.holder
    if others and not ours:
        raise _in_use(results, lock)
    return ours, others


def _in_use(results: Path, lock: Lock) -> BadInput:
    return BadInput(f"{results}: in use by {lock.holder}; wait for it, or choose another folder by --results")


def check_owner(results: Path, manifest: Manifest) -> None:
    """Raise `BadInput` if the folder is somebody else's."""
    # Listed before the manifest is looked for: another shard may write it in between.
    names = [entry.name for entry in results.iterdir()] if results.is_dir() else []
    owner = Manifest.read(results) if names else None
    if owner is None and any(name not in _OURS and not name.startswith(".") for name in names):
        raise BadInput(f"{results}: is not empty and no results folder; choose another by --results")
    if owner is not None and owner.name != manifest.name:
        raise BadInput(
            f"{results}: holds the results of experiment '{owner.name}', not of '{manifest.name}'; "
            "choose another folder by --results"
        )
