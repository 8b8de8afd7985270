"""The cost of an experiment's cells, from what of their models and data is on this machine."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from bench.core.errors import BenchError
from bench.datasets import datasets
from bench.datasets.splits import Splits
from bench.experiment.cell import Cell
from bench.experiment.feasibility import looked_at, writes
from bench.methods import methods
from bench.models import models
from bench.planning.configurations import vocabulary
from bench.planning.data import HashedWords, assumed
from bench.planning.places import Place
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
        folder = models.build(cell.model.name, cell.model.options, cell.title).folder()
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokenizer = _tokenizer(folder)
    else:
        options = cell.model.options
        fields = model_config(str(options.get("id") or options.get("path") or cell.model.name))
        notes.append("a token a word, for the tokenizer is not here")
    try:
        splits = _splits(cell.dataset.name, json.dumps(cell.dataset.options))
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


@lru_cache(maxsize=4)
def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@lru_cache(maxsize=4)
def _splits(name: str, options: str) -> Splits:
    """Return the splits of a data set that is here; `OSError` or `BenchError` where it is not."""
    dataset = datasets.build(name, json.loads(options), f"data set {name}")
    if not all(download.cached for download in dataset.downloads()):
        raise FileNotFoundError(name)
    return dataset.splits()


def estimate(cell: Cell, on: Place) -> Estimate | None:
    """Estimate a cell on a device; None for a method without a language model, which takes no accelerator."""
    found = work_of(cell, torch.bfloat16 if on.bfloat16 else torch.float32)
    if found is None:
        return None
    work, notes = found
    prediction = predict(work)
    # Of the mean number of tokens.
    step = prediction.step.part(prediction.step_share) if prediction.step else None
    every = prediction.evaluation.part(prediction.evaluation_share)

    def passes(examples: int) -> float:
        number = math.ceil(examples / prediction.evaluated)
        return number * on.seconds(every.part(examples / prediction.evaluated / number), work.dtype) if number else 0.0

    generated = min(cell.evaluation.generations, len(work.splits.test)) if work.splits.labels else 0
    asked = (len(work.splits.test) if writes(cell) else generated) if prediction.answer else 0
    batches = math.ceil(asked / work.settings.eval_batch_size)
    later = every.part(asked / max(1, batches) / (prediction.evaluated_tokens * prediction.evaluation_share))
    seconds = expected(
        cell,
        steps=prediction.steps,
        step=on.seconds(step, work.dtype) if step else 0.0,
        validation=passes(len(work.splits.validation)),
        test=passes(len(work.splits.test)),
        # The text is run once, then every token of the answers, of which keys and values are kept.
        answers=passes(asked) + batches * (prediction.answer - 1) * on.seconds(later, work.dtype) if asked else 0.0,
        run=on.besides(step, every),
    )
    return Estimate(work, prediction, seconds, notes)
