"""Files that are whole at every moment, and folders that can be written."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bench.core.errors import BadInput


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that no moment leaves it missing or torn.

    A temporary file in the same folder, fsync, ``os.replace``, fsync of the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by mkstemp, whose files only their owner may read: a results folder is for the whole team.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def make_writable(folder: Path, option: str) -> None:
    """Make a folder and see that it can be written, or raise `BadInput` that names the option for another one."""
    probe = folder / f".{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); choose another by {option}") from None
