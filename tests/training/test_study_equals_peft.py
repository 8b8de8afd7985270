"""A whole study comes out the same by our way through the network and by PEFT's own forward."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from numerics import assert_close
from peft import PromptTuningConfig, get_peft_model

import bench
from bench.forward.pathway import Pathway
from bench.runs.selection import best_trial
from bench.runs.store import RecordStore
from bench.testing.tiny import tiny_network, tiny_tokenizer

SECTIONS = {
    "training": {"max_steps": 10, "batch_size": 8, "eval_steps": 5, "learning_rate": 0.05},
    "study": {"trials": 3, "pruner": "none"},
    "finals": {"seeds": 1, "save_adapters": False},
}
LABELS = {"one token": {"y": "yes", "n": "no"}, "several": {"y": "yes, quite so", "n": "no"}}


def portable(network):
    """Give a network weights that no processor rounds otherwise: the seeds of a study come from their hash, too."""
    chance = np.random.default_rng(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.from_numpy(chance.normal(float(weight.dim() == 1), 0.2, weight.shape)))
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and a table whose first letter says the label, most of the time."""
    folder = tmp_path_factory.mktemp("study")
    portable(tiny_network()).save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    chance = random.Random(0)
    rows = [
        f"{'ab'[i % 2]}{''.join(chance.choices('klmnop', k=2 + i % 9))},{'ny'[(i + (chance.random() < 0.2)) % 2]}"
        for i in range(160)
    ]
    (folder / "data.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return folder


def experiment(words):
    table = {
        "path": "data.csv",
        "template": "{text}\ntype:",
        "label_words": words,
        "validation_size": 32,
        "test_size": 32,
        "metrics": ["accuracy"],
    }
    method = {"init": "random", "num_virtual_tokens": 6, "search": {"num_virtual_tokens": {"low": 2, "high": 9}}}
    return {
        "name": "equal",
        "seed": 1,
        "models": [{"local": {"path": "model"}}],
        "datasets": [{"local": table}],
        "methods": [{"prompt_tuning": method}],
        **SECTIONS,
    }


class PeftWay(Pathway):
    """PEFT's own forward, the prompt before each padded example and logits everywhere, behind our contract."""

    calls = 0

    @classmethod
    def of(cls, network):
        return cls(network, "padded")

    def logits(self, batch, prompt=None, prefix=None):
        type(self).calls += 1
        assert prefix is None
        rows, length = len(batch), prompt.shape[0]
        config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=length)
        peer = get_peft_model(self.network, config)
        peer.get_prompt = lambda *_, **__: prompt.expand(rows, -1, -1)
        logits = peer(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        return logits[:, length:][batch.positions].float()


def outcome(words, results):
    frame = bench.run(experiment(words), results, engine="inline")
    assert (frame["status"] == "ok").all()
    records = sorted(RecordStore(results), key=lambda r: (r.spec.kind, r.spec.number))
    trials = [r for r in records if r.spec.kind == "trial"]
    finals = [r for r in records if r.spec.kind == "final"]
    assert (len(trials), len(finals)) == (3, 1)
    return trials, finals


@pytest.mark.parametrize("words", LABELS.values(), ids=LABELS)
def test_the_same_trial_is_best_and_the_same_labels_are_predicted(folder, words, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)  # seeds come from what is asked for, paths included: these are the same everywhere
    our_trials, our_finals = outcome(words, tmp_path / "ours")
    assert {r.notes["forward"] for r in our_trials} == {"packed"}
    monkeypatch.setattr(Pathway, "of", PeftWay.of)
    PeftWay.calls = 0
    trials, finals = outcome(words, tmp_path / "theirs")
    assert PeftWay.calls > 4 * 10, "every step and every evaluation went through PEFT"

    assert [t.spec.params for t in our_trials] == [t.spec.params for t in trials]
    for ours, theirs in zip([*our_trials, *our_finals], [*trials, *finals], strict=True):
        losses, others = ([step.loss for step in r.train_curve] for r in (ours, theirs))
        assert losses == pytest.approx(others, rel=1e-4)
    assert len({round(t.objective, 6) for t in trials}) > 1, "there is something to choose from"
    assert best_trial(our_trials).spec.number == best_trial(trials).spec.number
    for ours, theirs in zip(our_finals, finals, strict=True):
        assert ours.predictions.predictions == theirs.predictions.predictions
        assert ours.test.metrics == theirs.test.metrics
        confidences = ours.predictions.confidences
        assert_close(confidences, theirs.predictions.confidences, 1e-4)
        assert max(confidences) - min(confidences) > 1e-2, "not one answer for all"
