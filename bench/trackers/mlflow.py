"""MLflow: an experiment, a run for each run of ours."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from bench.core.trust import Trusted
from bench.runs.manifest import without_password
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.trackers.base import SENT, Board, RunLog, Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST_WAITING, _SECONDS = 200, 2.0
"""Numbers are sent in batches: when there are so many, or the oldest has waited so long."""

_ENDINGS = {"ok": "FINISHED", "pruned": "FINISHED", "killed": "KILLED", None: "KILLED"}
"""MLflow's words for how a run ended; None was interrupted, and all others have failed."""


class MLflow(Tracker):
    """MLflow: runs with their chosen values, curves and scores in a tracking server or a database."""

    requires: ClassVar[str] = "mlflow"
    extra: ClassVar[str] = "mlflow"

    tracking_uri: str | None = None
    """A server or a database; the variable MLFLOW_TRACKING_URI by default, else ``mlflow.db`` in the results folder."""
    experiment: str | None = None
    """Name of the experiment there; that of ours by default."""

    def trusts(self) -> Iterable[Trusted]:
        """Return what is sent to which server."""
        url = self.tracking_uri or ""
        host = urlsplit(url).hostname
        place = f" at {without_password(url)}" if url else ""
        yield Trusted("note", f"is sent {SENT}{place}", hosts={host: f"mlflow is sent {SENT}"} if host else {})

    def open(self, results: Path, experiment: str) -> Board:
        """Find or make the experiment."""
        from mlflow import MlflowClient

        local = f"sqlite:///{(results / 'mlflow.db').absolute()}"
        client = MlflowClient(self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or local)
        name = self.experiment or experiment
        known = client.get_experiment_by_name(name)
        return _Experiment(client, known.experiment_id if known else client.create_experiment(name))


class _Experiment(Board):
    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self._client = client
        self._experiment = experiment

    def begin(self, spec: TrialSpec) -> RunLog:
        model, dataset, method = spec.cell.labels
        tags = {"model": model, "dataset": dataset, "method": method, "kind": spec.kind, "number": str(spec.number)}
        run = self._client.create_run(self._experiment, run_name=spec.title, tags={**tags, "spec_hash": spec.hash})
        return _Run(self._client, run.info.run_id, spec)


class _Run(RunLog):
    def __init__(self, client: MlflowClient, run: str, spec: TrialSpec) -> None:
        from mlflow.entities import Param

        self._client = client
        self._run = run
        self._waiting: list[Any] = []
        self._since = time.monotonic()
        params = {**spec.method_options, **spec.params, "seed": spec.seed}
        client.log_batch(run, params=[Param(name, str(value)[:500]) for name, value in params.items()])

    def number(self, name: str, value: float, step: int) -> None:
        from mlflow.entities import Metric

        name = re.sub(r"[^\w./ -]", "_", name)  # what MLflow takes
        self._waiting.append(Metric(name, value, int(1000 * time.time()), step))
        if len(self._waiting) >= _MOST_WAITING or time.monotonic() - self._since > _SECONDS:
            self._send()

    def finish(self, record: TrialRecord | None) -> None:
        self._send()
        if record is not None:
            self._client.set_tag(self._run, "status", record.status)
            if record.reason:
                self._client.set_tag(self._run, "reason", record.reason[:4000])
        self._client.set_terminated(self._run, _ENDINGS.get(record.status if record else None, "FAILED"))

    def _send(self) -> None:
        if self._waiting:
            self._client.log_batch(self._run, metrics=self._waiting)
        self._waiting, self._since = [], time.monotonic()
