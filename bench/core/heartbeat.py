"""Signs of progress, by which an engine tells a trial that is slow from one that hangs.

Whatever gets on with a trial says so: each optimizer step, each batch of training and of evaluation. That a process is
alive says nothing: one that waits for ever, such as for a collective, is alive.
"""

from __future__ import annotations

import time

LOADING_SECONDS = 3600.0
"""How long a trial may take before its first sign: models load, files are read, code is compiled without any."""

_beats = 0


def beat() -> None:
    """Say that a trial of this process has got on."""
    global _beats
    _beats += 1


class Pulse:
    """Looks for signs of progress in this process."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin a trial: until its first sign it counts as loading."""
        self._first = self._last = _beats
        self._began = time.monotonic()

    def alive(self) -> bool:
        """Return whether there was a sign since the last look, or the trial may still be loading."""
        if _beats == self._first:
            return time.monotonic() - self._began < LOADING_SECONDS
        moved, self._last = _beats != self._last, _beats
        return moved
