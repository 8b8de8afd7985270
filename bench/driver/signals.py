"""Ctrl-C and SIGTERM, noticed where a run can be stopped.

Python raises KeyboardInterrupt wherever the program happens to be. Inside a callback of the garbage collector (a
database library is full of them) it is printed and lost, and the run goes on; between the writing of a record and
the telling of a study it is one more place to be careful about. So a signal is only noted, and the driver looks.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self


class Terminated(BaseException):
    """SIGTERM has come, as from a batch system whose time is over: stop as upon Ctrl-C."""


class Signals:
    """Notes Ctrl-C and SIGTERM while it is entered. A second Ctrl-C is raised at once, wherever that is."""

    def __init__(self) -> None:
        self._pending: BaseException | None = None
        self._before: dict[signal.Signals, object] = {}

    def check(self) -> None:
        """Raise KeyboardInterrupt or `Terminated` if the signal has come."""
        if self._pending is not None:
            raise self._pending

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._pending = self._pending or Terminated()
        elif isinstance(self._pending, KeyboardInterrupt):
            raise KeyboardInterrupt
        else:
            self._pending = self._pending or KeyboardInterrupt()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # nobody else may
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
