"""TensorBoard: event files, a folder a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.core.labels import slug
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.trackers.base import Board, RunLog, Tracker

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Tracker):
    """TensorBoard: event files that ``tensorboard --logdir`` shows, with the chosen values under HPARAMS."""

    requires: ClassVar[str] = "tensorboard"
    extra: ClassVar[str] = "tensorboard"

    folder: str | None = None
    """Where the event files go; ``tensorboard`` in the results folder by default."""

    def open(self, results: Path, experiment: str) -> Board:
        """Return the folder's board."""
        return _Folder(Path(self.folder).expanduser() / slug(experiment) if self.folder else results / "tensorboard")


class _Folder(Board):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, spec: TrialSpec) -> RunLog:
        from torch.utils.tensorboard import SummaryWriter

        path = self._folder.joinpath(*map(slug, spec.cell.labels), spec.filename.removesuffix(".json"))
        return _Run(SummaryWriter(path), spec)


class _Run(RunLog):
    def __init__(self, writer: SummaryWriter, spec: TrialSpec) -> None:
        self._writer = writer
        self._spec = spec

    def number(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)

    def finish(self, record: TrialRecord | None) -> None:
        if record is not None:
            self._writer.add_text("status", f"{record.status} {record.reason or ''}".strip())
            self._show_choice(record)
        self._writer.close()

    def _show_choice(self, record: TrialRecord) -> None:
        """Write what the study chose; not by ``add_hparams``, which makes a further run of it."""
        from torch.utils.tensorboard.summary import hparams

        model, dataset, method = self._spec.cell.labels
        chosen = {name: value for name, value in self._spec.params.items() if value is not None}
        names = {"model": model, "dataset": dataset, "method": method, "kind": self._spec.kind}
        objective = f"validation/{self._spec.cell.objective}"
        scores = {objective: record.objective} if record.objective is not None else {}
        file = self._writer.file_writer
        assert file is not None
        for summary in hparams({**names, **chosen}, scores):
            file.add_summary(summary)
