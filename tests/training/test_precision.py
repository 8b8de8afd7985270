"""In bfloat16 every method is trained and evaluated in the same precision, and goes the way that it goes in float32."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from listening import Listener
from tiny import tiny_network, tiny_tokenizer

from bench.experiment.expansion import plan_cells
from bench.experiment.schema import Experiment
from bench.forward.pathway import Pathway
from bench.methods import methods
from bench.runs.spec import TrialSpec
from bench.training.session import Session
from bench.training.trial import run_trial

MODELS = {"bitfit": "gpt2"}
"""Llama has no biases."""
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in methods.names() if methods.get(name).uses_model},
    "peft": ("peft", {"config_class": "LoHaConfig", "r": 2}),
    "hard_prompt with shots": ("hard_prompt", {"shots": 2}),
    "last_layers": ("full_fine_tuning", {"last_layers": 1}),
    "head_only": ("full_fine_tuning", {"head_only": True}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    for family in ("llama", "gpt2"):
        tiny_network(family).save_pretrained(folder / family)
        tiny_tokenizer().save_pretrained(folder / family)
    letters = random.Random(0)
    rows = [f"{'ab'[i % 2]}{''.join(letters.choices('klmnop', k=3 + i % 9))},{'ny'[i % 2]}" for i in range(60)]
    (folder / "data.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_training_and_evaluation_are_in_one_precision_and_the_way_is_that_of_float32(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, options = METHODS[name]
    words = {"template": "{text}\ntype:", "label_words": {"y": "yes", "n": "no"}}
    sizes = {"train_size": 20, "validation_size": 10, "test_size": 10}
    ways: dict[str, Any] = {}
    for precision in ("float32", "bfloat16"):
        passes: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
        logits = Pathway.logits

        def seen(self: Pathway, *args: Any, passes: Any = passes, logits: Any = logits, **more: Any) -> Any:
            # A product that autocast covers says in which precision this network's are computed now.
            product = torch.ones(1, 1) @ torch.ones(1, 1, dtype=torch.float32)
            passes[self.network.training].add(product.dtype)
            return logits(self, *args, **more)

        experiment = {
            "name": "tiny",
            "models": [{"local": {"path": str(folder / MODELS.get(name, "llama"))}}],
            "datasets": [{"local": {"path": str(folder / "data.csv"), **words, **sizes}}],
            "methods": [{method: options}],
            "training": {"max_steps": 2, "batch_size": 4, "eval_steps": 1, "learning_rate": 1e-3},
            "runtime": {"device": "cpu", "precision": precision},
        }
        (cell,) = plan_cells(Experiment.parse(experiment, "tiny.yaml"), "tiny.yaml")
        with monkeypatch.context() as patched:
            patched.setattr(Pathway, "logits", seen)
            spec = TrialSpec(experiment="tiny", cell=cell, kind="final", number=0, seed=0, params={})
            record = run_trial(spec, Session(), Listener())
        assert record.status == "ok", record.reason
        ways[precision] = record.notes["forward"]
        trained = bool(record.train_curve)
        assert passes == {True: {getattr(torch, precision)} if trained else set(), False: {getattr(torch, precision)}}
    assert ways == {"float32": "packed", "bfloat16": "packed"}
