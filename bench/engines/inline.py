"""The inline engine: trials run in the driver's own process, one at a time. For debugging."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

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
        return _InlinePool(listener, self.runner)


class _InlinePool(Pool):
    """Holds at most one spec and runs it when it is polled."""

    def __init__(self, listener: Listener, runner: str) -> None:
        self._listener = listener
        self._run: Runner = load_target(runner)()
        self._next: tuple[TrialSpec, Path] | None = None

    def free(self) -> int:
        return int(self._next is None)

    def submit(self, spec: TrialSpec, artifacts: Path) -> None:
        self._next = (spec, artifacts)

    def poll(self, timeout: float) -> list[TrialRecord]:
        # The timeout does not interrupt it.
        if self._next is None:
            return []
        spec, artifacts = self._next
        try:
            listener = SimpleNamespace(
                progress=partial(self._listener.progress, spec), validated=partial(self._listener.validated, spec)
            )
            return [guarded(self._run, spec, listener, artifacts, cores())]
        finally:
            self._next = None

    def close(self) -> None:
        pass  # the base model goes with the pool
