"""What holds for every built-in method beyond the public contract (tests/testing)."""

from __future__ import annotations

import inspect

import pytest
import torch
from tiny import tiny_encoder, tiny_examples, tiny_model, tiny_splits

from bench.methods import methods
from bench.methods.base import Method, TunedModel
from bench.spec import Training
from bench.training.device import resolve_device
from bench.training.evaluation import Scorer
from bench.training.loop import Hooks, Outcome, train
from bench.training.memory import Meters

every_method = pytest.mark.parametrize("name", methods.names())
SPLITS = tiny_splits()
# What a method cannot do without.
OPTIONS = {"peft": {"config_class": "LoHaConfig", "r": 2}}
# Llama has no biases.
FAMILY = {"bitfit": "gpt2"}


def configured(name) -> Method:
    return methods.get(name)(**OPTIONS.get(name, {}))


def model_for(name):
    return tiny_model(FAMILY.get(name, "llama"))


def attach(name, base, seed=0, splits=SPLITS) -> TunedModel:
    method = configured(name)
    return method.attach(base if method.uses_model else None, splits, seed)  # type: ignore[arg-type]


def score(name, tuned, base):
    encoder = tiny_encoder(base) if methods.get(name).uses_model else None
    return Scorer(tuned, encoder, None, 4).run(SPLITS.validation)


def train_a_little(tuned, base, checkpoint, steps=3):
    encoder = tiny_encoder(base)
    outcome = Outcome()

    def validate(step):
        return Scorer(tuned, encoder, None, 4).run(SPLITS.validation).evaluated(step, [], {})

    hooks = Hooks(validate, lambda new, old: True, lambda evaluated: True, lambda *_: None)
    settings = Training(max_steps=steps, batch_size=4, learning_rate=0.01)
    meters = Meters(resolve_device("cpu"))
    arguments = (tuned, encoder, SPLITS.train, None, settings, torch.float32, 0, hooks, meters, checkpoint, outcome)
    train(*arguments)
    return outcome


@every_method
def test_load_restores_what_save_wrote(name, tmp_path):
    base = model_for(name)
    tuned = attach(name, base)
    if not tuned.trainable():
        pytest.skip("does not train")
    train_a_little(tuned, base, tmp_path / "best")
    tuned.save(tmp_path / "saved")
    saved = score(name, tuned, base).scores
    with torch.no_grad():
        for parameter in tuned.trainable().values():
            parameter.add_(0.3)
    assert abs(score(name, tuned, base).scores - saved).max() > 1e-3
    tuned.load(tmp_path / "saved")
    assert (score(name, tuned, base).scores == saved).all()
    assert all(p.requires_grad for p in tuned.trainable().values())


@every_method
def test_a_file_without_one_of_the_weights_is_refused(name, tmp_path):
    from safetensors.torch import load_file, save_file

    tuned = attach(name, model_for(name))
    if not tuned.trainable():
        pytest.skip("does not train")
    tuned.save(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    weights = load_file(file)
    weights.pop(sorted(weights)[-1])
    save_file(weights, file, {"format": "pt"})
    with pytest.raises((RuntimeError, ValueError, KeyError)):
        tuned.load(tmp_path)


@every_method
def test_what_is_saved_holds_what_was_trained_in_safetensors(name, tmp_path):
    from safetensors.torch import load_file

    tuned = attach(name, model_for(name))
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


@every_method
def test_it_scores_every_example_and_label(name):
    base = model_for(name)
    done = score(name, attach(name, base), base)
    assert done.scores.shape == (len(SPLITS.validation), len(SPLITS.labels))
    assert (done.loss is None) == (not methods.get(name).uses_model)


@every_method
def test_it_says_what_it_is_and_what_a_study_may_vary(name):
    method = methods.get(name)
    assert issubclass(method, Method)
    assert method.title
    assert inspect.getdoc(method)
    known = {*method.model_fields, *Training.model_fields}
    assert set(configured(name).search_space()) <= known
    assert set(method.training_defaults) <= set(Training.model_fields)
    assert all(field.description for field in method.model_fields.values())


@every_method
def test_the_defaults_lie_in_the_search_space(name):
    method = methods.get(name)
    values = {**Training(**method.training_defaults).model_dump(), **configured(name).model_dump()}
    for key, distribution in configured(name).search_space().items():
        if distribution.kind == "choice":
            assert values[key] in distribution.choices
        else:
            assert distribution.low <= values[key] <= distribution.high


def test_the_majority_class_is_that_of_train():
    base = tiny_model()
    splits = tiny_splits()
    tuned = methods.get("majority")().attach(None, splits, 0)  # type: ignore[arg-type]
    more = type(splits)((*splits.train, *tiny_examples(9, classes=1, seed=9)), (), (), splits.labels, "", 0)
    assert score("majority", methods.get("majority")().attach(None, more, 0), base).scores.argmax(1).max() == 0  # type: ignore[arg-type]
    fewer = type(splits)(splits.train[1:], (), (), splits.labels, "", 0)
    assert score("majority", methods.get("majority")().attach(None, fewer, 0), base).scores.argmax(1).min() == 1  # type: ignore[arg-type]
    assert tuned.trainable() == {}
