"""What holds for the built-in methods beyond the contract of `bench.testing`, which tests/testing holds them to."""

from __future__ import annotations

import inspect

import pytest
from safetensors.torch import load_file, save_file

from bench.methods import methods
from bench.methods.attaching import attach
from bench.methods.base import TunedModel
from bench.testing.tiny import tiny_examples, tiny_model, tiny_splits
from bench.training.evaluation import Scorer

every_method = pytest.mark.parametrize("name", methods.names())
UNTRAINED = ("hard_prompt", "majority", "tfidf_logistic", "first_sentence", "nearest_answer")
"""These have no weights to save."""
# What a method cannot do without.
OPTIONS = {"peft": {"config_class": "LoHaConfig", "r": 2}}
# Llama has no biases.
FAMILY = {"bitfit": "gpt2"}


def attached(name) -> TunedModel:
    method = methods.get(name)(**OPTIONS.get(name, {}))
    return attach(method, tiny_model(FAMILY.get(name, "llama")), tiny_splits(), 0)


@every_method
def test_it_says_what_it_is(name):
    assert methods.get(name).title
    assert inspect.getdoc(methods.get(name))


@pytest.mark.parametrize("name", [name for name in methods.names() if name not in UNTRAINED])
def test_a_file_without_one_of_the_weights_is_refused(name, tmp_path):
    tuned = attached(name)
    tuned.save(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    weights = load_file(file)
    weights.pop(sorted(weights)[-1])
    save_file(weights, file, {"format": "pt"})
    with pytest.raises((RuntimeError, ValueError, KeyError)):
        tuned.load(tmp_path)


@every_method
def test_what_is_saved_is_what_was_trained_and_no_more(name, tmp_path):
    tuned = attached(name)
    tuned.save(tmp_path / "saved")
    files = list((tmp_path / "saved").glob("*.safetensors"))
    if not tuned.trainable():
        assert files == []
        return
    if name == "p_tuning":  # what the network yields is enough to answer; the network itself lies beside it
        assert sum(t.numel() for t in load_file(*files).values()) == tuned.virtual_tokens * 32
        files = list((tmp_path / "saved").glob("*/*.safetensors"))
    saved = {t for file in files for t in load_file(file).values()}
    assert sum(t.numel() for t in saved) == sum(p.numel() for p in tuned.trainable().values())
    assert not list((tmp_path / "saved").glob("*.bin"))


def test_the_majority_class_is_that_of_train():
    splits = tiny_splits()

    def answers(train):
        changed = type(splits)(train, (), (), splits.labels, "", 0)
        tuned = attach(methods.get("majority")(), None, changed, 0)
        return Scorer(tuned, None, None, 4).run(splits.validation).scores.argmax(1)

    assert answers((*splits.train, *tiny_examples(9, classes=1, seed=9))).max() == 0
    assert answers(splits.train[1:]).min() == 1
