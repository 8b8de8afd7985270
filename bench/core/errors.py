"""Errors that a user can correct. Each is one clear line on the screen and exit code 2, never a traceback."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class BenchError(Exception):
    """What the user asked for cannot be done; the message says why and what would be right."""


class BadInput(BenchError):
    """An experiment, an option or a file is wrong."""


class Unavailable(BenchError):
    """Something that has to come from outside (a wheel, a hub, a licence) is not to be had."""


class Infeasible(BenchError):
    """A configuration that this model cannot run, such as a prompt longer than its context.

    Raised inside a trial it becomes the status ``infeasible``: the study goes on without it.
    """


def one_line(error: BaseException, most: int | None = None) -> str:
    """Return an error's message on one line, cut to ``most`` characters; its class where it has none."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def named_line(error: BaseException, most: int = 300) -> str:
    """Return the class of an error and its message on one line: ``ValueError: no such head``."""
    kind, said = type(error).__name__, one_line(error, most)
    return kind if said == kind else f"{kind}: {said}"


def disk_full(error: BaseException | None) -> OSError | None:
    """Return the error by which the disk said that it is full, if that is what ``error`` came from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = error.__cause__ or error.__context__
    return None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or the known names, or nothing."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    begin = [one for one in names if one.startswith(name)]
    if near or len(begin) == 1:
        near = near or begin
        return f"; did you mean '{near[0]}'?"
    if names and len(names) <= 12:
        return f"; known are {', '.join(names)}"
    return ""
