"""A trial on an encoder from its files to its adapter: what it records is what it answers, here and in peft."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from listening import Listener
from peft import PeftModel
from plugin import write_table
from transformers import AutoModelForSequenceClassification

from bench.api import plan
from bench.artifacts.export import export
from bench.artifacts.loading import load_run
from bench.artifacts.predict import predict
from bench.artifacts.runs import find_run
from bench.runs.spec import TrialSpec
from bench.runs.store import RecordStore
from bench.testing.tiny import tiny_network, tiny_tokenizer
from bench.training.session import Session
from bench.training.trial import run_trial

METHODS = ["prompt_tuning", "lora", "full_fine_tuning", "hard_prompt"]


@pytest.fixture(scope="module")
def finals(tmp_path_factory):
    """The final of each method on a tiny BERT without a head, by name."""
    folder = tmp_path_factory.mktemp("encoder")
    tiny_network("bert").base_model.save_pretrained(folder / "bert")
    tiny_tokenizer(bos=True, eos=True).save_pretrained(folder / "bert")
    experiment = {
        "name": "demo",
        "models": [{"local": {"path": str(folder / "bert")}}],
        "datasets": [{"local": {"path": str(write_table(folder / "data.csv")), "template": "{text}\ntype:"}}],
        "methods": METHODS,
        "training": {"max_steps": 4, "batch_size": 4},
    }
    store, session, found = RecordStore(folder / "results"), Session(), {}
    for cell in plan(experiment).cells:
        spec = TrialSpec(experiment="demo", cell=cell, kind="final", number=0, seed=7, params={})
        record = run_trial(spec, session, Listener(), store.artifacts(spec))
        found[cell.method.name] = (record, store.write(record))
    return folder, found


def test_a_hard_prompt_is_infeasible_and_the_rest_goes_on(finals):
    statuses = {name: record.status for name, (record, _) in finals[1].items()}
    assert statuses == {name: "infeasible" if name == "hard_prompt" else "ok" for name in METHODS}
    assert "does not train the classification head" in finals[1]["hard_prompt"][0].reason


@pytest.mark.parametrize("name", METHODS[:3])
def test_a_final_predicts_what_it_recorded_and_the_base_model_has_no_say(finals, name):
    record, path = finals[1][name]
    loaded = load_run(find_run(path))
    answers = predict(loaded, [example.text for example in loaded.splits.test])
    recorded = record.predictions
    assert [a.label for a in answers] == [recorded.labels[i] for i in recorded.predictions]
    np.testing.assert_allclose([max(a.probabilities.values()) for a in answers], recorded.confidences, atol=2e-5)
    assert all(a.base is None for a in answers)
    assert record.non_label_share is None
    assert "classification head" in record.notes["answers"]
    assert record.notes["forward"] == "classes"


@pytest.mark.parametrize("name", METHODS[:3])
def test_what_is_exported_answers_so_outside_too(finals, name, tmp_path):
    folder, found = finals
    run = find_run(found[name][1])
    export(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "AutoModelForSequenceClassification" in card
    assert "text-classification" in card
    if name == "full_fine_tuning":
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    else:
        assert "num_labels=2" in card
        model = AutoModelForSequenceClassification.from_pretrained(folder / "bert", num_labels=2)
        model = PeftModel.from_pretrained(model, tmp_path / "out")
    loaded = load_run(run)
    texts = [example.text for example in loaded.splits.test[:4]]
    with torch.no_grad():
        rows = [model.eval()(**loaded.base.tokenizer(text, return_tensors="pt")).logits.softmax(1)[0] for text in texts]
    ours = [list(a.probabilities.values()) for a in predict(loaded, texts)]
    np.testing.assert_allclose(ours, torch.stack(rows).numpy(), atol=1e-5)
