"""`runtime.gradient_checkpointing`: the same result in less memory, and a clear word where it cannot be had."""

from __future__ import annotations

import random

import pytest
import torch
from listening import Listener
from numerics import GRADIENT, assert_close
from tiny import tiny_network, tiny_tokenizer

from bench.core.errors import Infeasible
from bench.experiment.expansion import plan_cells
from bench.experiment.schema import Experiment
from bench.forward.checkpointing import checkpointed, is_checkpointed
from bench.runs.spec import TrialSpec
from bench.training.session import Session
from bench.training.trial import run_trial

METHODS = ["prompt_tuning", "p_tuning", "prefix_tuning", "lora", "full_fine_tuning"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models and a CSV whose first letter says the label; texts long enough for activations to matter."""
    folder = tmp_path_factory.mktemp("tiny")
    for family in ("llama", "bloom"):
        tiny_network(family).save_pretrained(folder / family)
        tiny_tokenizer().save_pretrained(folder / family)
    letters = random.Random(0)
    rows = [f"{'ab'[i % 2]}{''.join(letters.choices('klmnop', k=20 + i % 9))},{'ny'[i % 2]}" for i in range(60)]
    (folder / "data.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return folder


def run(folder, method, family="llama", checkpointing=False):
    """Run one final; return its record."""
    data = {"path": str(folder / "data.csv"), "template": "{text}\ntype:", "label_words": {"y": "yes", "n": "no"}}
    experiment = {
        "name": "tiny",
        "models": [{"local": {"path": str(folder / family)}}],
        "datasets": [{"local": {**data, "train_size": 30, "validation_size": 10, "test_size": 10}}],
        "methods": [method],
        "training": {"max_steps": 3, "batch_size": 8, "eval_steps": 3, "learning_rate": 0.01},
        "runtime": {"device": "cpu", "gradient_checkpointing": checkpointing},
    }
    (cell,) = plan_cells(Experiment.parse(experiment, "tiny.yaml"), "tiny.yaml")
    return run_trial(
        TrialSpec(experiment="tiny", cell=cell, kind="final", number=0, seed=0, params={}), Session(), Listener(), None
    )


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


def test_no_hook_is_left_on_the_network():
    network = tiny_network()
    with checkpointed(network):
        pass
    assert not any(module._forward_hooks for module in network.modules())
    assert not network.get_input_embeddings()(torch.tensor([1])).requires_grad


def test_a_network_that_cannot_is_refused():
    network = tiny_network("llama")
    network.supports_gradient_checkpointing = False
    with pytest.raises(Infeasible, match="LlamaForCausalLM has no layers that can"), checkpointed(network):
        pass


def test_cells_of_before_keep_their_hash(folder):
    hashes = set()
    for runtime in (
        {"device": "cpu"},
        {"device": "cpu", "gradient_checkpointing": False},
        {"device": "cpu", "gradient_checkpointing": True},
    ):
        experiment = Experiment.parse(
            {
                "name": "t",
                "models": [{"local": {"path": str(folder / "llama")}}],
                "datasets": ["trec6"],
                "methods": ["lora"],
                "runtime": runtime,
            },
            "t.yaml",
        )
        hashes.add(plan_cells(experiment, "t.yaml")[0].hash)
    assert len(hashes) == 2
