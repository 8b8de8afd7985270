"""Who holds a results folder: one driver at a time, and only that of the folder's own experiment."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from filelock import FileLock, Timeout

from bench.core.errors import BadInput
from bench.core.files import make_writable
from bench.runs.manifest import HOLDER, Manifest

_LOCK = ".driver.lock"
_OURS = {_LOCK, HOLDER, "records", "adapters", "logs", "study.db", "study.db-journal"}
"""What may be in a folder whose manifest was removed, or not written yet."""


def take(results: Path) -> FileLock:
    """Lock a results folder for this driver.

    The lock is the operating system's: that of a dead process is free at once, whatever its file says.

    Raises:
        BadInput: another driver holds the folder (with its host and process id), or it cannot be written.
    """
    make_writable(results, "--results")
    lock = FileLock(results / _LOCK, timeout=0)
    holder = results / HOLDER
    try:
        lock.acquire()
    except Timeout:
        try:
            who = json.loads(holder.read_text())
            by = f"process {who['pid']} on {who['host']} since {who['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            by = "another process"
        raise BadInput(f"{results}: in use by {by}; wait for it, or choose another folder by --results") from None
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
    return lock


def let_go(lock: FileLock, results: Path) -> None:
    """Free a results folder."""
    (results / HOLDER).unlink(missing_ok=True)
    lock.release()


def check_owner(results: Path, manifest: Manifest) -> None:
    """Raise `BadInput` if the folder is somebody else's."""
    owner = Manifest.read(results)
    if owner is None and any(entry.name not in _OURS for entry in results.iterdir()):
        raise BadInput(f"{results}: is not empty and no results folder; choose another by --results")
    if owner is not None and owner.name != manifest.name:
        raise BadInput(
            f"{results}: holds the results of experiment '{owner.name}', not of '{manifest.name}'; "
            "choose another folder by --results"
        )
