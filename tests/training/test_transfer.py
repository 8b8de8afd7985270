"""Finals on data sets that they were not trained on: whose words are asked for, and what is left where that fails."""

from __future__ import annotations

import pytest
import torch
from listening import Listener
from one_trial import tiny_cell, write_letters, write_models

from bench.core.errors import BadInput
from bench.runs.spec import TrialSpec
from bench.testing.tiny import tiny_tokenizer
from bench.training.session import Session
from bench.training.trial import run_trial

WORDS = {"y": "yes", "n": "no"}
SIZES = {"train_size": 40, "validation_size": 10, "test_size": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models, and two files whose first letter says the label, by other letters in each."""
    folder = write_models(tmp_path_factory.mktemp("transfer"), "llama", "bert")
    for name, letters in (("source", "ab"), ("other", "cd"), ("copy", "ab"), ("held", "ab")):
        write_letters(folder / f"{name}.csv", 90, first=letters, seed=name)
    return folder


@pytest.fixture(scope="module")
def session():
    return Session()


def data(folder, name="source", template="{text}\ntype:", words=WORDS, **more):
    return {"local": {"path": str(folder / f"{name}.csv"), "template": template, "label_words": words, **SIZES, **more}}


def spec_of(folder, method, targets=(), model="llama", kind="final", **source):
    of = data(folder, **source)
    of["local"] |= {"label": "source", "transfer": list(targets)}
    more = {"training": {"learning_rate": 0.05}, "evaluation": {"generations": 0}}
    cell = tiny_cell(folder / model, of["local"], method, **more)
    return TrialSpec(experiment="tiny", cell=cell, kind=kind, number=0, seed=3, params={})


def test_the_saved_adapter_is_asked_for_the_words_of_the_other_data_set_as_peft_would(folder, session, tmp_path):
    other = data(folder, "other", "{text}, the", {"y": "good", "n": "bad"})
    spec = spec_of(folder, "lora", [other])
    record = run_trial(spec, session, Listener(), tmp_path / "adapter")
    assert (record.status, record.reason) == ("ok", None)

    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "llama"), tmp_path / "adapter")
    tokenizer, test = tiny_tokenizer(), session.splits(spec.cell.transfer[0].dataset).test
    words = [tokenizer(" good")["input_ids"][0], tokenizer(" bad")["input_ids"][0]]
    with torch.no_grad():
        logits = [model.eval()(torch.tensor([tokenizer(e.text)["input_ids"]])).logits[0, -1] for e in test]
    losses = [-row.log_softmax(-1)[words[e.label]].item() for row, e in zip(logits, test, strict=True)]
    right = [int(row[words].argmax()) == e.label for row, e in zip(logits, test, strict=True)]

    found = record.transfer["other"]
    assert (found.items, found.labels, found.reason) == (20, ["good", "bad"], None)
    assert found.test.metrics["accuracy"] == pytest.approx(sum(right) / 20)
    assert found.test.loss == pytest.approx(sum(losses) / 20, rel=1e-5)
    assert len(found.data_revision) == 64
    assert record.seconds["transfer"] > 0 and record.tokens_per_second["transfer"] > 0


def test_the_test_on_the_final_s_own_data_is_what_it_is_without_any_transfer(folder, session):
    alone = run_trial(spec_of(folder, "prompt_tuning"), session, Listener())
    both = run_trial(spec_of(folder, "prompt_tuning", [data(folder, "other")]), session, Listener())
    assert (both.test, both.train_curve, both.predictions) == (alone.test, alone.train_curve, alone.predictions)
    assert (alone.transfer, alone.cell_path) == ({}, both.cell_path)
    assert alone.spec_hash != both.spec_hash


def test_trials_are_not_transferred_and_are_the_same_runs_with_and_without(folder, session):
    asked = spec_of(folder, "prompt_tuning", [data(folder, "other")], kind="trial")
    assert run_trial(asked, session, Listener()).transfer == {}
    assert asked.hash == spec_of(folder, "prompt_tuning", kind="trial").hash


@pytest.mark.parametrize("method", [{"hard_prompt": {"calibrate": True}}, "hard_prompt"])
def test_a_hard_prompt_answers_the_other_data_set_as_if_it_were_its_own(folder, session, method):
    other = {"name": "other", "template": "{text}, the", "words": {"y": "good", "n": "bad"}}
    moved = run_trial(spec_of(folder, method, [data(folder, **other)]), session, Listener()).transfer["other"]
    at_home = run_trial(spec_of(folder, method, **other), session, Listener())
    assert moved.test == at_home.test


@pytest.mark.parametrize("model", ["llama", "bert"])
@pytest.mark.parametrize("method", ["tfidf_logistic", "majority", "lora"])
def test_the_same_labels_in_another_order_are_the_same_answers(folder, session, method, model):
    held = {"test_path": str(folder / "held.csv"), "test_size": None}
    turned = data(folder, "copy", words={"n": "no", "y": "yes"}, label="turned", **held)
    record = run_trial(spec_of(folder, method, [turned], model, **held), session, Listener())
    assert record.transfer["turned"].labels == ["no", "yes"]
    assert record.transfer["turned"].test.metrics == pytest.approx(record.test.metrics)
    if record.test.loss is not None:
        assert record.transfer["turned"].test.loss == pytest.approx(record.test.loss, rel=1e-5)


def test_a_baseline_that_learned_other_words_is_left_out_with_the_reason(folder, session):
    other = data(folder, "other", words={"y": "good", "n": "bad"})
    record = run_trial(spec_of(folder, "majority", [other]), session, Listener())
    assert record.status == "ok"
    assert (record.transfer["other"].test, record.transfer["other"].items) == (None, 20)
    assert record.transfer["other"].reason == "it has learned to answer yes, no, not good, bad"


@pytest.mark.parametrize("kind", ["trial", "final"])
def test_a_head_over_other_labels_is_refused_before_anything_is_trained(folder, session, kind):
    other = data(folder, "other", words={"y": "good", "n": "bad"})
    spec = spec_of(folder, "lora", [other], "bert", kind)
    with pytest.raises(
        BadInput, match=r"^datasets.source.transfer: bert answers by a head over the labels yes, no, but"
    ):
        run_trial(spec, session, Listener())
    assert run_trial(spec_of(folder, "lora", model="bert"), session, Listener()).status == "ok"


def test_a_target_that_fails_costs_no_result_and_no_other_target(folder, session):
    same = data(folder, "other", words={"y": "Q", "n": "Z"}, label="same")  # both unknown
    record = run_trial(spec_of(folder, "prompt_tuning", [same, data(folder, "other")]), session, Listener())
    assert record.status == "ok" and record.test is not None
    assert record.transfer["same"].test is None
    assert "'Z' and 'Q' are the same tokens" in record.transfer["same"].reason
    assert record.transfer["other"].test is not None


def test_a_cross_validated_target_is_tested_on_the_fold_of_the_final_s_number(folder, session):
    folds = data(folder, "other", folds=3, test_size=None)
    spec = spec_of(folder, "hard_prompt", [folds])
    for number in (0, 1, 4):
        record = run_trial(spec.model_copy(update={"number": number}), session, Listener())
        expected = session.splits(spec.cell.transfer[0].dataset, number % 3)
        assert record.transfer["other"].items == len(expected.test)
        assert record.transfer["other"].test.metrics["accuracy"] >= 0
