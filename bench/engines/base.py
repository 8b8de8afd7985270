"""The contract of an engine: `submit`, `poll`, `close`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import Field

from bench.core.config import Config
from bench.core.trust import Trusted
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec


class Listener(Protocol):
    """Receives the events of running trials: the driver."""

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Take note of an optimizer step."""

    def validated(self, spec: TrialSpec, step: int, value: float) -> bool:
        """Take a validation score; return False to prune the trial."""


class Pool(ABC):
    """Running workers. Used by one driver, from one thread."""

    @abstractmethod
    def free(self) -> int:
        """Return how many trials can be submitted now."""

    @abstractmethod
    def submit(self, spec: TrialSpec, artifacts: Path) -> None:
        """Begin a trial; ``artifacts`` is where a final keeps its weights."""

    @abstractmethod
    def poll(self, timeout: float) -> list[TrialRecord]:
        """Wait up to ``timeout`` seconds and return the records of trials that have ended.

        A trial whose worker died comes back too, with status ``killed`` or ``timeout``.

        Raises:
            BenchError: nothing can run here as it was asked for, such as on a device that is not there.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop everything at once."""


class Engine(Config):
    """The configuration of an engine."""

    runner: ClassVar[str] = "bench.engines.running:training_runner"
    """What makes what runs a spec, as ``module:attribute``, imported where trials run. Tests put another here."""

    on_this_machine: ClassVar[bool] = False
    """Whether each worker is a process of this machine that holds a whole model: then what is known of the machine says
    how long trials take and what cannot fit."""

    workers: int = Field(1, gt=0)
    """Trials that run at the same time."""
    log_folder: Path | None = None
    """Where workers write what they print; None discards it."""

    def trusts(self) -> Iterable[Trusted]:
        """Return where trials run."""
        yield Trusted("note", "where trials run")

    @abstractmethod
    def start(self, listener: Listener) -> Pool:
        """Return a pool that is ready to take specs."""
        raise NotImplementedError


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
