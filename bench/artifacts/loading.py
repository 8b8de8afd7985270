"""A finished run, loaded again: its base model, its data, and what it trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.artifacts.runs import FinishedRun
from bench.core.entries import Entry
from bench.core.errors import BadInput, BenchError, one_line
from bench.core.plugins import load_plugins
from bench.datasets import datasets
from bench.datasets.base import BaseDataset
from bench.datasets.splits import Splits
from bench.experiment.cell import Cell
from bench.methods import methods
from bench.methods.attaching import attach
from bench.methods.base import TunedModel
from bench.models import models
from bench.models.language_model import LanguageModel
from bench.training.encoding import Encoder
from bench.training.evaluation import Scorer
from bench.training.session import Session


@dataclass(frozen=True)
class LoadedRun:
    """A base model as it is, and what the method of a run needs to be put on it."""

    run: FinishedRun
    cell: Cell
    base: LanguageModel | None
    dataset: BaseDataset
    splits: Splits
    encoder: Encoder | None
    dtype: torch.dtype
    """Precision of the forward pass, as a training here would have it."""

    def attach(self) -> TunedModel:
        """Attach the method as the run did, before its first step."""
        spec = self.run.record.spec
        method = methods.build(spec.cell.method.name, spec.method_options, f"method {spec.cell.method.label}")
        return attach(method, self.base, self.splits, spec.seed)

    def load(self, tuned: TunedModel) -> None:
        """Put in what the run trained.

        Raises:
            BadInput: it does not fit this base model.
        """
        if self.run.adapter is None:
            return
        try:
            tuned.load(self.run.adapter)
        except Exception as error:  # safetensors, torch and peft each raise their own for shapes, names and damage
            said = one_line(error, 200)
            raise BadInput(f"{self.run.adapter}: does not fit the base model {self.cell.labels[0]}: {said}") from error

    @contextmanager
    def trained(self) -> Iterator[Scorer]:
        """Attach the method with what the run trained, and give what scores with it; detach it at the end."""
        tuned = self.attach()
        try:
            self.load(tuned)
            yield self.scorer(tuned)
        finally:
            tuned.detach()

    def scorer(self, tuned: TunedModel) -> Scorer:
        """Return what scores texts with an attached method."""
        training = self.run.record.spec.training
        room = self.encoder.room(tuned.virtual_tokens, training.max_length) if self.encoder else None
        return Scorer(tuned, self.encoder, room, training.eval_batch_size, self.dtype)


def load_run(run: FinishedRun, model: str | None = None, session: Session | None = None) -> LoadedRun:
    """Load the base model and the data of a run.

    Args:
        run: the run.
        model: another place of its base model: a name, an id of the hub, or a folder.
        session: keeps base model and data between runs; None loads them for this one.

    Raises:
        BadInput: the adapter was trained on another base model.
        Unavailable: the base model cannot be fetched.
    """
    cell = run.record.spec.cell
    load_plugins(cell.plugins)
    # Where it was trained need not be where it is used.
    cell = cell.model_copy(update={"runtime": cell.runtime.model_copy(update={"device": "auto"})})
    if cell.model is not None:
        cell = cell.model_copy(update={"model": _entry(cell.model, run.record.provenance.model_revision, model)})
    session = session or Session()
    base = session.base(cell)
    _check_base(run, cell, base)
    dataset = datasets.build(cell.dataset.name, cell.dataset.options, f"data set {cell.dataset.label}")
    splits = _splits(run, session, cell, dataset)
    encoder = Encoder(base, dataset.template, splits.labels, splits.answer) if base is not None else None
    return LoadedRun(run, cell, base, dataset, splits, encoder, session.device(cell)[1])


def _entry(recorded: Entry, revision: str | None, model: str | None) -> Entry:
    """Return where the base model is loaded from; of a hub, the very commit that the run used."""
    if model is None:
        pinned = {"revision": revision} if revision and "revision" in recorded.options else {}
        return recorded.model_copy(update={"options": {**recorded.options, **pinned}})
    if Path(model).expanduser().exists():
        name, options = "local", {"path": model}
    elif "/" in model and model not in models:
        name, options = "hub", {"id": model}
    else:
        name, options = model, {}
    built = models.build(name, options, f"--model {model}")
    return Entry(name=name, label=recorded.label, options=built.model_dump(mode="json"))


def _check_base(run: FinishedRun, cell: Cell, base: LanguageModel | None) -> None:
    trained_on = run.record.provenance.model_revision
    if base is not None and trained_on is not None and base.revision != trained_on:
        at_hand = cell.model.options.get("path") or cell.model.options.get("id") or cell.model.name  # type: ignore[union-attr]
        raise BadInput(
            f"{run.adapter or run.path}: belongs to another base model: trained on {cell.labels[0]} "
            f"(revision {trained_on[:12]}), but {at_hand} is revision {base.revision[:12]}"
        )


def _splits(run: FinishedRun, session: Session, cell: Cell, dataset: BaseDataset) -> Splits:
    """Return the data of the run, or the label words alone where trained weights stand for the data."""
    try:
        return session.splits(cell.dataset, run.record.spec.fold)
    except BenchError:
        record = run.record
        if run.adapter is None or (record.predictions is None and not dataset.answer.writes):
            raise
        labels = tuple(record.predictions.labels) if record.predictions else ()
        revision = record.provenance.data_revision or ""
        return Splits((), (), (), labels, revision, 0, dataset.template, answer=dataset.answer)
