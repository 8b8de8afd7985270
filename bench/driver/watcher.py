"""Who watches a run. Apart from the driver, so that a watcher need not import optuna."""

from __future__ import annotations

from collections.abc import Sequence

from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec


class Watcher:
    """Hears of a run; this one keeps silent, the command line's draws."""

    def begin(self, done: Sequence[TrialRecord]) -> None:
        """Hear that runs are about to begin, and which ones an earlier run has finished already."""

    def started(self, spec: TrialSpec) -> None:
        """Hear that a run has begun."""

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Hear of an optimizer step."""

    def validated(self, spec: TrialSpec, step: int, value: float) -> None:
        """Hear of a validation score, by the cell's objective."""

    def retried(self, record: TrialRecord) -> None:
        """Hear that a run has died and is going to begin once more; this record is not kept."""

    def finished(self, record: TrialRecord) -> None:
        """Hear that a run has ended and its record is on disk."""

    def warn(self, text: str) -> None:
        """Hear of something that the user should know and that stops nothing."""

    def end(self) -> None:
        """Hear that nothing runs any more, for whatever reason."""
