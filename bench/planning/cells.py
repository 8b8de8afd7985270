"""The cost of an experiment's cells, from what of their models and data is on this machine."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import torch

from bench.core.errors import BenchError
from bench.datasets import datasets
from bench.experiment.cell import Cell
from bench.experiment.feasibility import looked_at
from bench.methods import methods
from bench.models import models
from bench.planning.data import HashedWords, assumed
from bench.planning.devices import DEVICES, Device
from bench.planning.fake import vocabulary
from bench.planning.predict import Prediction, Work, predict
from bench.planning.weightless import model_config

STOPPED = {"none": 0.0, "median": 0.5, "percentile": 0.5, "successive_halving": 0.5, "hyperband": 0.5}
"""Share of the trials behind the first ones that a pruner is expected to stop, on average half-way: an assumption."""


@dataclass(frozen=True)
class Estimate:
    """What a cell is expected to take."""

    work: Work
    prediction: Prediction
    trial: float
    """Seconds of one that runs to its end."""
    trials: float
    """Seconds of all, less what pruning is expected to save."""
    finals: float
    """Seconds of all finals, with test and generation."""
    assumptions: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Of the whole cell."""
        return self.trials + self.finals


def work_of(cell: Cell, dtype: torch.dtype) -> tuple[Work, tuple[str, ...]] | None:
    """Return what a cell's trials do at the default values, and what had to be assumed; None without a model.

    Raises:
        BadInput: the model is unknown, or its configuration no model's.
        Unavailable: its configuration is not here.
    """
    if cell.model is None:
        return None
    notes: list[str] = []
    tokenizer: Any = None
    if looked_at(cell):
        from transformers import AutoTokenizer

        folder = models.build(cell.model.name, cell.model.options, cell.title).folder()
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    else:
        options = cell.model.options
        fields = model_config(str(options.get("id") or options.get("path") or cell.model.name))
        notes.append("a token a word, for the tokenizer is not here")
    try:
        dataset = datasets.build(cell.dataset.name, cell.dataset.options, cell.title)
        if not all(download.cached for download in dataset.downloads()):
            raise FileNotFoundError(cell.dataset.label)
        splits = dataset.splits()
    except (BenchError, OSError):
        splits, tokenizer = assumed(fields)
        notes = ["512 examples a split of 64 tokens each and two labels, for the data are not here"]
    tokenizer = tokenizer or HashedWords(vocabulary(fields))
    if getattr(tokenizer, "pad_token_id", None) is None:
        tokenizer.pad_token_id = 0
    if models.build(cell.model.name, cell.model.options, cell.title).bits:
        notes.append("weights in full precision, for what quantisation saves is not predicted")
    method = methods.build(cell.method.name, cell.method.options, f"method {cell.method.label}")
    precision = cell.runtime.precision
    dtype = dtype if precision == "auto" else getattr(torch, precision)
    checkpointing = cell.runtime.gradient_checkpointing
    work = Work(
        cell.model.label, fields, method, splits, tokenizer, cell.training, dtype, checkpointing, seed=cell.seed
    )
    return work, tuple(notes)


def estimate(cell: Cell, on: Device, beside: bool = False) -> Estimate | None:
    """Estimate a cell on a device; None for a method without a language model, which takes no accelerator."""
    found = work_of(cell, torch.bfloat16 if on.bfloat16 else torch.float32)
    if found is None:
        return None
    work, notes = found
    prediction = predict(work, beside=beside)
    step = on.seconds(prediction.step, work.dtype) * prediction.tokens if prediction.step else 0.0
    one_pass = on.seconds(prediction.evaluation, work.dtype)

    def passes(examples: int) -> float:
        return examples / prediction.evaluated

    every = work.settings.eval_steps or max(1, prediction.steps // 10)
    validations = max(1, math.ceil(prediction.steps / every))
    trial = prediction.steps * step + validations * passes(len(work.splits.validation)) * one_pass
    generated = min(cell.evaluation.generations, len(work.splits.test)) / work.settings.eval_batch_size
    final = trial + (passes(len(work.splits.test)) + generated * prediction.answer) * one_pass
    first = cell.study.pruner_startup_trials
    stopped = STOPPED.get(cell.study.pruner, 0.0) if len(cell.study.objectives) == 1 and prediction.steps else 0.0
    trials = cell.study.trials - max(0, cell.study.trials - first) * stopped / 2
    return Estimate(work, prediction, trial, trials * trial, cell.planned_finals * final, notes)


def cost(cell: Cell) -> float:
    """Return the seconds that a cell is expected to take on an H100, for comparing cells; 1 where nothing is known."""
    try:
        found = estimate(cell, DEVICES["h100"])
    except BenchError:
        return 1.0
    return found.seconds if found else 1.0


def too_large(cell: Cell, on: Device) -> str | None:
    """Return why a cell cannot fit a device, in the smallest passes that a trial may fall back to; None if it may."""
    found = work_of(cell, torch.bfloat16 if on.bfloat16 else torch.float32)
    if found is None:
        return None
    work, _ = found
    peak = predict(work.in_smallest_passes(), beside=False).peak
    if peak <= on.usable:
        return None
    return (
        f"needs {peak / 2**30:.1f} GiB in passes of one example; a {on.title} has {on.usable / 2**30:.1f} GiB for it "
        "(see 'bench plan')"
    )
