"""The inline engine: trials run in the driver's own process, one at a time. For debugging."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator

from bench.core.registry import load_target
from bench.engines.base import Engine, Listener, Pool, cores
from bench.engines.running import Runner, guarded
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec


class Inline(Engine):
    """Runs trials in the driver's process, one at a time; a debugger and a traceback work as usual."""

    @field_validator("workers")
    @classmethod
    def _check_workers(cls, workers: int) -> int:
        if workers != 1:
            raise ValueError(f"the inline engine runs one trial at a time, found {workers}")
        return workers

    def start(self, listener: Listener) -> Pool:
        """Return a pool of this process alone."""
        return InlinePool(listener, self.runner)


class InlinePool(Pool):
    """Holds at most one spec and runs it when it is polled."""

    def __init__(self, listener: Listener, runner: str) -> None:
        self._listener = listener
        self._run: Runner = load_target(runner)()
        self._next: tuple[TrialSpec, Path] | None = None

    def free(self) -> int:
        """One, or none."""
        return int(self._next is None)

    def submit(self, spec: TrialSpec, artifacts: Path) -> None:
        """Keep the spec for the next `poll`."""
        self._next = (spec, artifacts)

    def poll(self, timeout: float) -> list[TrialRecord]:
        """Run the trial that was submitted; the timeout does not interrupt it."""
        if self._next is None:
            return []
        spec, artifacts = self._next
        try:
            return [guarded(self._run, spec, _Bound(spec, self._listener), artifacts, cores())]
        finally:
            self._next = None

    def close(self) -> None:
        """Do nothing: the base model goes with the pool."""


class _Bound:
    """Speaks to the engine's listener for one trial."""

    def __init__(self, spec: TrialSpec, listener: Listener) -> None:
        self._spec, self._listener = spec, listener

    def progress(self, step: int, steps: int, loss: float) -> None:
        self._listener.progress(self._spec, step, steps, loss)

    def validated(self, step: int, value: float) -> bool:
        return self._listener.validated(self._spec, step, value)
