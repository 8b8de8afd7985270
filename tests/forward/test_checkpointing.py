"""`runtime.gradient_checkpointing`: the same result in less memory, and a clear word where it cannot be had."""

from __future__ import annotations

import pytest
import torch
from numerics import GRADIENT, assert_close
from one_trial import LETTERS, run_final, tiny_cell, write_letters, write_models

from bench.core.errors import Infeasible
from bench.forward.checkpointing import checkpointed, is_checkpointed
from bench.testing.tiny import tiny_network

METHODS = ["prompt_tuning", "p_tuning", "prefix_tuning", "lora", "full_fine_tuning"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models and a CSV whose first letter says the label; texts long enough for activations to matter."""
    folder = write_models(tmp_path_factory.mktemp("tiny"), "llama", "bloom")
    write_letters(folder / "data.csv", 60, shortest=20)
    return folder


def run(folder, method, family="llama", checkpointing=False):
    """Run one final; return its record."""
    data = {"path": str(folder / "data.csv"), **LETTERS, "train_size": 30, "test_size": 10}
    training = {"max_steps": 3, "eval_steps": 3, "learning_rate": 0.01}
    runtime = {"gradient_checkpointing": checkpointing}
    return run_final(tiny_cell(folder / family, data, method, training=training, runtime=runtime))


@pytest.mark.parametrize("method", METHODS)
def test_the_result_is_the_same_and_takes_less_memory(folder, method):
    plain, checkpointed = (run(folder, method, checkpointing=on) for on in (False, True))

    assert (plain.reason, checkpointed.reason) == (None, None)
    for one, other in zip(plain.train_curve, checkpointed.train_curve, strict=True):
        assert_close(other.loss, one.loss)
        assert_close(other.grad_norm, one.grad_norm, GRADIENT)
    assert checkpointed.memory["train"].live_tensor_peak_bytes < plain.memory["train"].live_tensor_peak_bytes
    assert checkpointed.notes["gradient_checkpointing"] is True
    assert checkpointed.notes["forward"] == plain.notes["forward"] == "packed"


def test_what_shares_a_prefix_by_the_cache_runs_it_with_every_example(folder):
    plain, checkpointed = (run(folder, "prompt_tuning", "bloom", on) for on in (False, True))

    assert (plain.notes["forward"], checkpointed.notes["forward"]) == ("shared prefix", "padded")
    assert [s.loss for s in checkpointed.train_curve] == pytest.approx([s.loss for s in plain.train_curve], rel=1e-5)


def test_a_prefix_that_would_be_left_out_is_refused(folder):
    record = run(folder, "prefix_tuning", "bloom", checkpointing=True)

    assert record.status == "infeasible"
    assert "runtime.gradient_checkpointing" in record.reason


def test_the_network_is_as_before_when_the_trial_is_over():
    network = tiny_network("llama")
    with checkpointed(network):
        assert is_checkpointed(network)
    assert not is_checkpointed(network)
    assert not any(module._forward_hooks for module in network.modules())
    assert not network.get_input_embeddings()(torch.tensor([1])).requires_grad


def test_a_network_that_cannot_is_refused():
    network = tiny_network("llama")
    network.supports_gradient_checkpointing = False
    with pytest.raises(Infeasible, match="LlamaForCausalLM has no layers that can"), checkpointed(network):
        pass


def test_cells_of_before_keep_their_hash(folder):
    data = {"path": str(folder / "data.csv"), **LETTERS}
    settings = ({}, {"gradient_checkpointing": False}, {"gradient_checkpointing": True})
    none, off, on = (tiny_cell(folder / "llama", data, "lora", runtime=runtime).hash for runtime in settings)
    assert none == off != on
