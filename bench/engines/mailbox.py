"""Messages by files in a folder that both ends see, such as one of a cluster's network file system.

    <box>/stop                 its worker is to end at once
    <box>/<life>/beat          how the worker is: replaced every now and then
    <box>/<life>/in/<n>.json   messages to the worker, in order
    <box>/<life>/out/<n>.json  messages of the worker

A job that is queued again begins another life: what was said in the one before is not for it. Each file is written
whole or not at all, and is JSON: nothing that arrives can run code. A file's content counts, never its time: the clocks
of two machines differ.
"""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path
from typing import Any

from bench.core.files import write_atomic

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
"""Stale: it was replaced while it was read, on a network file system."""


def write_json(path: Path, data: Any) -> None:
    """Write a file whole."""
    write_atomic(path, json.dumps(data, allow_nan=False).encode())


def read_json(path: Path) -> Any:
    """Return what a file holds, or None if it is not there (yet)."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


class Sending:
    """One end of a folder of messages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        write_json(self._folder / f"{self._number}.json", message)
        self._number += 1


class Receiving:
    """The other end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def receive(self) -> dict[str, Any] | None:
        """Return the next message, or None if there is none (yet)."""
        path = self._folder / f"{self._number}.json"
        message: dict[str, Any] | None = read_json(path)
        if message is not None:
            self._number += 1
            path.unlink(missing_ok=True)
        return message


class Watched:
    """A file that somebody replaces again and again as long as he lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Any = None
        self._changed = time.monotonic()

    def look(self) -> Any:
        """Return what the file holds if it has changed since the last look, else None."""
        found = read_json(self._path)
        if found is None or found == self._seen:
            return None
        self._seen, self._changed = found, time.monotonic()
        return found

    @property
    def silent(self) -> float:
        """Seconds since it was seen to change."""
        return time.monotonic() - self._changed
