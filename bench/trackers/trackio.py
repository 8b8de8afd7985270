"""trackio: a local database, or a Space of the Hub."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import copy_context
from pathlib import Path
from typing import Any, ClassVar

from bench.core.trust import Trusted, of_the_hub
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.trackers.base import SENT, Board, RunLog, Tracker


class Trackio(Tracker):
    """trackio: runs in its local database (the folder TRACKIO_DIR), shown by ``trackio show``, or in a Space."""

    requires: ClassVar[str] = "trackio"
    extra: ClassVar[str] = "trackio"

    project: str | None = None
    """Name of the project; that of the experiment by default."""
    space_id: str | None = None
    """A Space of the Hub to send the runs to; none by default."""

    def trusts(self) -> Iterable[Trusted]:
        """Return what is sent, to a Space where one is named."""
        hosts = of_the_hub(f"trackio is sent {SENT}, to the Space {self.space_id}") if self.space_id else {}
        yield Trusted("note", f"is sent {SENT}", hosts=hosts)

    def open(self, results: Path, experiment: str) -> Board:
        """Return the project's board."""
        return _Project(self.project or experiment, self.space_id)


class _Project(Board):
    def __init__(self, project: str, space: str | None) -> None:
        self._project = project
        self._space = space
        self._context = copy_context()

    def begin(self, spec: TrialSpec) -> RunLog:
        import trackio
        from trackio import context_vars

        model, dataset, method = spec.cell.labels
        config = {"model": model, "dataset": dataset, "method": method, "kind": spec.kind, "seed": spec.seed}
        run = self._context.run(
            trackio.init,
            self._project,
            name=spec.title.replace(" / ", "-").replace(", ", "-").replace(" ", "-"),
            group="-".join(spec.cell.labels),
            space_id=self._space,
            config={**config, **spec.params},
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        # trackio knows one current run and ends it when the next one begins; ours may overlap.
        self._context.run(context_vars.current_run.set, None)
        return _Run(run)


class _Run(RunLog):
    def __init__(self, run: Any) -> None:
        self._run = run

    def number(self, name: str, value: float, step: int) -> None:
        self._run.log({name: value}, step=step)

    def finish(self, record: TrialRecord | None) -> None:
        if record is not None:
            self._run.log({"status": record.status, "reason": record.reason or ""})
        self._run.finish()
