"""A whole trial on a tiny model and a file of this machine."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from listening import Listener

from bench.api import plan
from bench.core.config import deep_merge
from bench.experiment.cell import Cell
from bench.experiment.expansion import plan_cells
from bench.experiment.file import parse_experiment
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.runs.store import RecordStore
from bench.testing.tiny import tiny_model
from bench.training.session import Session
from bench.training.trial import run_trial

LETTERS = {"template": "{text}\ntype:", "label_words": {"y": "yes", "n": "no"}}
"""How the files of `write_letters` are read."""


def write_models(folder: Path, *families: str) -> Path:
    """Write tiny models, each into a folder of its family's name."""
    for family in families:
        model = tiny_model(family)
        model.network.save_pretrained(folder / family)
        model.tokenizer.save_pretrained(folder / family)
    return folder


def write_letters(file: Path, rows: int, shortest: int = 3, first: str = "ab", seed: str | int = 0) -> Path:
    """Write a CSV whose first letter says the label."""
    letters = random.Random(seed)
    texts = ["".join(letters.choices("klmnop", k=shortest + i % 9)) for i in range(rows)]
    lines = [f"{first[i % 2]}{text},{'ny'[i % 2]}" for i, text in enumerate(texts)]
    file.write_text("\n".join(["text,label", *lines]) + "\n")
    return file


def tiny_cell(model: Path, data: dict[str, Any], method: Any, **more: Any) -> Cell:
    """Return the cell of an experiment of one model, one file and one method."""
    experiment = {
        "name": "tiny",
        "models": [{"local": {"path": str(model)}}],
        "datasets": [{"local": {"train_size": 40, "validation_size": 10, "test_size": 20, **data}}],
        "methods": [method],
        "training": {"max_steps": 4, "batch_size": 8},
        "runtime": {"device": "cpu"},
    }
    (cell,) = plan_cells(parse_experiment(deep_merge(experiment, more), "tiny.yaml"), "tiny.yaml")
    return cell


def run_final(cell: Cell, artifacts: Path | None = None) -> TrialRecord:
    """Run a final of a cell in a session of its own."""
    spec = TrialSpec(experiment="tiny", cell=cell, kind="final", number=0, seed=0, params={})
    return run_trial(spec, Session(), Listener(), artifacts)


def run_cells(results: Path, experiment: dict[str, Any], *kinds: str) -> None:
    """Run the first trial, or the first final, of each cell, and keep what they leave as a driver does."""
    store, session = RecordStore(results), Session()
    for cell in plan(experiment).cells:
        for kind in kinds:
            spec = TrialSpec(experiment="demo", cell=cell, kind=kind, number=0, seed=7, params={})
            store.write(run_trial(spec, session, Listener(), store.artifacts(spec)))


def record_of(results: Path, method: str, kind: str = "final") -> Path:
    """Return the file of the record that `run_cells` has kept of a method."""
    (path,) = (results / "records").glob(f"*/*/{method}/*/{kind}-*.json")
    return path
