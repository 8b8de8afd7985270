"""A trial on an encoder from its files to its adapter: what it records is what it answers, here and in peft."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_trial import record_of, run_cells
from peft import PeftModel
from plugin import write_table
from transformers import AutoModelForSequenceClassification

from bench.artifacts.export import export
from bench.artifacts.loading import load_run
from bench.artifacts.predict import predict
from bench.artifacts.runs import find_run
from bench.runs.record import read_record
from bench.testing.tiny import tiny_network, tiny_tokenizer

METHODS = ["prompt_tuning", "lora", "full_fine_tuning", "hard_prompt"]


@pytest.fixture(scope="module")
def finals(tmp_path_factory):
    """A results folder with the final of each method on a tiny BERT without a head."""
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
    run_cells(folder, experiment, "final")
    return folder


def test_a_hard_prompt_is_infeasible_and_the_rest_goes_on(finals):
    records = {name: read_record(record_of(finals, name)) for name in METHODS}
    statuses = {name: record.status for name, record in records.items()}
    assert statuses == {name: "infeasible" if name == "hard_prompt" else "ok" for name in METHODS}
    assert "does not train the classification head" in records["hard_prompt"].reason


@pytest.mark.parametrize("name", METHODS[:3])
def test_a_final_predicts_what_it_recorded_and_the_base_model_has_no_say(finals, name):
    run = find_run(record_of(finals, name))
    record, loaded = run.record, load_run(run)
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
    run = find_run(record_of(finals, name))
    export(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "AutoModelForSequenceClassification" in card
    assert "text-classification" in card
    if name == "full_fine_tuning":
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    else:
        assert "num_labels=2" in card
        model = AutoModelForSequenceClassification.from_pretrained(finals / "bert", num_labels=2)
        model = PeftModel.from_pretrained(model, tmp_path / "out")
    loaded = load_run(run)
    texts = [example.text for example in loaded.splits.test[:4]]
    with torch.no_grad():
        rows = [model.eval()(**loaded.base.tokenizer(text, return_tensors="pt")).logits.softmax(1)[0] for text in texts]
    ours = [list(a.probabilities.values()) for a in predict(loaded, texts)]
    np.testing.assert_allclose(ours, torch.stack(rows).numpy(), atol=1e-5)
