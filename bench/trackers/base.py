"""The contract of a tracker: a configuration, a board that it opens, and a log for each run on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from bench.core.config import Config
from bench.core.errors import Unavailable
from bench.core.trust import Trusted
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec

SENT = "curves, chosen values and endings of runs, no texts"
"""What a tracker is told."""


class RunLog(ABC):
    """One run on a board."""

    @abstractmethod
    def number(self, name: str, value: float, step: int) -> None:
        """Log a finite number, such as ``train/loss``, at an optimizer step."""

    @abstractmethod
    def finish(self, record: TrialRecord | None) -> None:
        """Close the run.

        Args:
            record: how it ended; its curves have been logged. None for a run that was interrupted and begins anew
                with the next ``bench run``.
        """


class Board(ABC):
    """What a tracker has opened. All calls come from one thread, which is none of the driver's."""

    @abstractmethod
    def begin(self, spec: TrialSpec) -> RunLog:
        """Begin to log a run."""

    def close(self) -> None:  # noqa: B027  (most boards have nothing to close)
        """Write what is not written yet; no call follows."""


class Tracker(Config):
    """The configuration of a tracker; its fields are what an experiment file may say."""

    requires: ClassVar[str] = ""
    """The module that has to be installed."""
    extra: ClassVar[str] = ""
    """The extra of promptscale that brings it, if one does."""

    @abstractmethod
    def open(self, results: Path, experiment: str) -> Board:
        """Open the board of an experiment.

        Args:
            results: the results folder; the place for what the user has given no place to.
            experiment: its name.
        """
        raise NotImplementedError

    def trusts(self) -> Iterable[Trusted]:
        """Return what it is told, and the hosts that hear it."""
        yield Trusted("note", f"is sent {SENT}")

    def check(self) -> None:
        """Raise `Unavailable` if what the tracker needs is not installed."""
        if self.requires and find_spec(self.requires) is None:
            install = f"'promptscale[{self.extra}]'" if self.extra else self.requires
            raise Unavailable(f"the tracker needs the package '{self.requires}': pip install {install}")
