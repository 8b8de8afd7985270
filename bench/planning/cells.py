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
from bench.planning.devices import Place
from bench.planning.fake import vocabulary
from bench.planning.predict import Prediction, predict
from bench.planning.schedule import Expected, expected
from bench.planning.weightless import model_config
from bench.planning.work import Work


@dataclass(frozen=True)
class Estimate:
    """What a cell is expected to take."""

    work: Work
    prediction: Prediction
    seconds: Expected
    """Of one worker."""
    assumptions: tuple[str, ...]


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


def estimate(cell: Cell, on: Place, beside: bool = False) -> Estimate | None:
    """Estimate a cell on a device; None for a method without a language model, which takes no accelerator."""
    found = work_of(cell, torch.bfloat16 if on.bfloat16 else torch.float32)
    if found is None:
        return None
    work, notes = found
    prediction = predict(work, beside=beside)
    usual, every = prediction.usual_step, prediction.usual_evaluation

    def passes(examples: int) -> float:
        number = math.ceil(examples / prediction.evaluated)
        return number * on.seconds(every.part(examples / prediction.evaluated / number), work.dtype) if number else 0.0

    asked = min(cell.evaluation.generations, len(work.splits.test)) if prediction.answer else 0
    batches = math.ceil(asked / work.settings.eval_batch_size)
    later = every.part(asked / max(1, batches) / prediction.evaluated_tokens)
    seconds = expected(
        cell,
        steps=prediction.steps,
        step=on.seconds(usual, work.dtype) if usual else 0.0,
        validation=passes(len(work.splits.validation)),
        test=passes(len(work.splits.test)),
        # The text is run once, then every token of the answers, of which keys and values are kept.
        answers=passes(asked) + batches * (prediction.answer - 1) * on.seconds(later, work.dtype) if asked else 0.0,
        run=on.besides(usual, every),
    )
    return Estimate(work, prediction, seconds, notes)


def too_large(cell: Cell, where: str, usable: float, bfloat16: bool) -> str | None:
    """Return why a cell cannot fit, in the smallest passes that a trial may fall back to; None if it may.

    Args:
        cell: what would run.
        where: names the device.
        usable: its bytes for tensors.
        bfloat16: whether that is its precision of choice.
    """
    found = work_of(cell, torch.bfloat16 if bfloat16 else torch.float32)
    if found is None:
        return None
    peak = predict(found[0].in_smallest_passes(), beside=False).peak
    if peak <= usable:
        return None
    return f"needs {peak / 2**30:.1f} GiB in passes of one example; {where} has {usable / 2**30:.1f} GiB for it"
