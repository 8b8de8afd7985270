"""What holds for every registered method, whoever wrote it."""

from __future__ import annotations

import inspect

import pytest
import torch
from tiny import assert_same_state, state_of, tiny_encoder, tiny_examples, tiny_model, tiny_splits

from bench.methods import methods
from bench.methods.base import Method, TunedModel
from bench.spec import Training
from bench.training.device import resolve_device
from bench.training.evaluation import Scorer
from bench.training.loop import Hooks, Outcome, train
from bench.training.memory import Meters

every_method = pytest.mark.parametrize("name", methods.names())
SPLITS = tiny_splits()


def attach(name, base, seed=0) -> TunedModel:
    method = methods.get(name)
    return method().attach(base if method.uses_model else None, SPLITS, seed)  # type: ignore[arg-type]


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
def test_the_base_model_comes_back_bit_for_bit_after_training(name, tmp_path):
    base = tiny_model()
    before = state_of(base.network)
    tuned = attach(name, base)
    if tuned.trainable():
        train_a_little(tuned, base, tmp_path / "best")
    score(name, tuned, base)
    tuned.train(True)  # as an error in the middle of a step leaves it
    if tuned.trainable():
        encoder = tiny_encoder(base)
        tuned.logits(encoder.batch([([5, 6, 7], [8])])).sum().backward()
    tuned.detach()
    assert_same_state(base.network, before)


@every_method
def test_a_second_attach_with_the_same_seed_gives_the_same_run(name, tmp_path):
    base = tiny_model()
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        tuned = attach(name, base, seed=5)
        curve = train_a_little(tuned, base, tmp_path / "best").train_curve if tuned.trainable() else []
        runs.append((curve, score(name, tuned, base)))
        tuned.detach()
    assert runs[0][0] == runs[1][0]
    assert (runs[0][1].scores == runs[1][1].scores).all()


@every_method
def test_training_changes_what_is_trainable_and_nothing_else(name, tmp_path):
    base = tiny_model()
    tuned = attach(name, base)
    if not tuned.trainable():
        pytest.skip("does not train")
    frozen = {n: p.detach().clone() for n, p in base.network.named_parameters() if not p.requires_grad}
    before = {n: p.detach().clone() for n, p in tuned.trainable().items()}
    outcome = train_a_little(tuned, base, tmp_path / "best")
    assert all(not torch.equal(p, before[n]) for n, p in tuned.trainable().items())
    assert all(torch.equal(p, frozen[n]) for n, p in base.network.named_parameters() if n in frozen)
    assert outcome.with_gradient > 0


@every_method
def test_load_restores_what_save_wrote(name, tmp_path):
    base = tiny_model()
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

    tuned = attach(name, tiny_model())
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

    tuned = attach(name, tiny_model())
    tuned.save(tmp_path / "saved")
    files = list((tmp_path / "saved").glob("*.safetensors"))
    if not tuned.trainable():
        assert files == []
        return
    saved = {t for file in files for t in load_file(file).values()}
    assert sum(t.numel() for t in saved) == sum(p.numel() for p in tuned.trainable().values())
    assert not list((tmp_path / "saved").glob("*.bin"))


@every_method
def test_it_scores_every_example_and_label(name):
    base = tiny_model()
    done = score(name, attach(name, base), base)
    assert done.scores.shape == (len(SPLITS.validation), len(SPLITS.labels))
    assert (done.loss is None) == (not methods.get(name).uses_model)


@every_method
def test_no_method_looks_at_validation_or_test(name):
    class Closed(tuple):
        def __iter__(self):
            raise AssertionError("a method may read train and the label words, nothing else")

        __len__ = __getitem__ = __iter__

    closed = type(SPLITS)(SPLITS.train, Closed(), Closed(), SPLITS.labels, SPLITS.revision, 0)
    method = methods.get(name)
    method().attach(tiny_model() if method.uses_model else None, closed, 0)  # type: ignore[arg-type]


@every_method
def test_it_says_what_it_is_and_what_a_study_may_vary(name):
    method = methods.get(name)
    assert issubclass(method, Method)
    assert method.title
    assert inspect.getdoc(method)
    known = {*method.model_fields, *Training.model_fields}
    assert set(method().search_space()) <= known
    assert set(method.training_defaults) <= set(Training.model_fields)
    assert all(field.description for field in method.model_fields.values())


@every_method
def test_the_defaults_lie_in_the_search_space(name):
    method = methods.get(name)
    values = {**Training(**method.training_defaults).model_dump(), **method().model_dump()}
    for key, distribution in method().search_space().items():
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
