"""In bfloat16 every method is trained and evaluated in the same precision, and goes the way that it goes in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from one_trial import LETTERS, run_final, tiny_cell, write_letters, write_models

from bench.forward.pathway import Pathway
from bench.methods import methods

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
    folder = write_models(tmp_path_factory.mktemp("tiny"), "llama", "gpt2")
    write_letters(folder / "data.csv", 60)
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_training_and_evaluation_are_in_one_precision_and_the_way_is_that_of_float32(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, options = METHODS[name]
    data = {"path": str(folder / "data.csv"), **LETTERS, "train_size": 20, "test_size": 10}
    training = {"max_steps": 2, "batch_size": 4, "eval_steps": 1, "learning_rate": 1e-3}
    ways: dict[str, Any] = {}
    for precision in ("float32", "bfloat16"):
        passes: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
        logits = Pathway.logits

        def seen(self: Pathway, *args: Any, passes: Any = passes, logits: Any = logits, **more: Any) -> Any:
            # A product that autocast covers says in which precision this network's are computed now.
            product = torch.ones(1, 1) @ torch.ones(1, 1, dtype=torch.float32)
            passes[self.network.training].add(product.dtype)
            # In bfloat16 most steps would round away.
            assert {p.dtype for p in self.network.parameters() if p.requires_grad} <= {torch.float32}
            return logits(self, *args, **more)

        model = folder / MODELS.get(name, "llama")
        cell = tiny_cell(model, data, {method: options}, training=training, runtime={"precision": precision})
        with monkeypatch.context() as patched:
            patched.setattr(Pathway, "logits", seen)
            record = run_final(cell)
        assert record.status == "ok", record.reason
        ways[precision] = record.notes["forward"]
        trained = bool(record.train_curve)
        assert passes == {True: {getattr(torch, precision)} if trained else set(), False: {getattr(torch, precision)}}
    assert ways == {"float32": "packed", "bfloat16": "packed"}
