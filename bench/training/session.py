"""What stays in memory between trials: the base model, the data, and their encoding."""

from __future__ import annotations

import gc
import json

import torch

from bench.core.config import canonical_json
from bench.core.entries import Entry
from bench.core.errors import Infeasible
from bench.datasets import datasets
from bench.datasets.splits import Splits
from bench.experiment.cell import Cell
from bench.methods.tokens import Specials
from bench.models import models
from bench.models.language_model import LanguageModel
from bench.training.device import resolve_device, resolve_dtype
from bench.training.encoding import Encoder
from bench.training.ranks import Ranks


class Session:
    """Loads a base model and a data set once and keeps them as long as trials ask for the same ones."""

    def __init__(self, ranks: Ranks | None = None) -> None:
        self.ranks = ranks or Ranks()
        self._clear()

    def _clear(self) -> None:
        self._splits: dict[str, Splits] = {}
        self._clear_model()

    def _clear_model(self) -> None:
        self._model_key = ""
        self._model: LanguageModel | None = None
        self._encoders: dict[str, Encoder] = {}
        self.bits_per_byte: dict[tuple[str, Specials], float] = {}
        """Of the resident model on texts, by its sha256 and what stands around it (see `bench.training.retention`)."""

    def device(self, cell: Cell) -> tuple[torch.device, torch.dtype]:
        """Return device and precision of the frozen weights for a cell."""
        device = resolve_device(cell.runtime.device)
        return device, resolve_dtype(cell.runtime.precision, device)

    def base(self, cell: Cell) -> LanguageModel | None:
        """Return the cell's base model, resident since the last trial that used it, or None if it uses none."""
        if cell.model is None:
            return None
        device, dtype = self.device(cell)
        key = canonical_json([cell.model.name, cell.model.options, str(device), str(dtype), cell.trust_remote_code])
        if key != self._model_key:
            # The old one goes first: two base models at once may not fit.
            self._clear_model()
            gc.collect()
            source = models.build(cell.model.name, cell.model.options, f"model {cell.model.label}")
            if source.bits and device.type != "cuda":  # on a CPU bitsandbytes rounds its constants as it computes
                raise Infeasible(f"load_in_{source.bits}bit: needs a CUDA device; this trial runs on {device.type}")
            if source.bits and self.ranks.size > 1:
                raise Infeasible(f"load_in_{source.bits}bit: a quantised base is not divided over processes")
            self._model = source.load(self.ranks.loads_on(device), dtype, cell.trust_remote_code)
            self._model_key = key
        return self._model

    def splits(self, entry: Entry, fold: int = 0, draw: int = 0) -> Splits:
        """Return the splits of a data set that test on a fold, or of a draw; without folds or redraws there is one."""
        key = f"{_key(entry)} {fold} {draw}"
        if key not in self._splits:
            # Without what there is none of: a data set of a plug-in need not know of folds or draws.
            known = {name: number for name, number in (("fold", fold), ("draw", draw)) if number}
            self._splits[key] = datasets.build(entry.name, entry.options, f"data set {entry.label}").splits(**known)
        return self._splits[key]

    def encoder(self, base: LanguageModel, entry: Entry) -> Encoder:
        """Return the encoder of a data set for the resident model."""
        key = _key(entry)
        if key not in self._encoders:
            template = datasets.build(entry.name, entry.options, f"data set {entry.label}").template
            splits = self.splits(entry)
            self._encoders[key] = Encoder(base, template, splits.labels, splits.answer)
        return self._encoders[key]

    def forget(self) -> None:
        """Let everything go, after an error that may have left the model in an unknown state."""
        self._clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _key(entry: Entry) -> str:
    # Keys in their own order: of label words it decides which index is which label.
    return json.dumps([entry.name, entry.options])
