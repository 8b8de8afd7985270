"""The training loop, with the real model, encoder and optimizers, and a study that is played."""

from __future__ import annotations

import math

import pytest
import torch
from numerics import assert_close
from torch.optim.optimizer import register_optimizer_step_pre_hook

from bench.experiment.settings import Training
from bench.methods.lora import Lora
from bench.methods.prompt_tuning import PromptTuning
from bench.runs.record import Evaluated
from bench.testing.tiny import example, tiny_encoder, tiny_examples, tiny_model, tiny_splits
from bench.training.batching import planned_steps
from bench.training.evaluation import Scorer
from bench.training.loop import Hooks, Pruned, TrainingJob, TrainingResult, train
from bench.training.memory import Meters
from bench.training.step import Diverged

EXAMPLES = tiny_examples(32)


class Run:
    """A run of the loop; ``scores`` are the validation scores that it will hear."""

    def __init__(self, method=None, scores=(), labels=("yes", "no"), keep_going=lambda _: True, **settings):
        self.base = tiny_model()
        self.tuned = (method or PromptTuning(num_virtual_tokens=4)).attach(self.base, tiny_splits(labels), 0)
        self.encoder = tiny_encoder(self.base, labels)
        self.scores = dict(scores)
        self.settings = Training(**{"max_steps": 6, "batch_size": 8, "learning_rate": 0.01, **settings})
        self.result = TrainingResult()
        self.meters = Meters(torch.device("cpu"))
        self.weights: dict[int, torch.Tensor] = {}
        self.progress: list[tuple[int, int]] = []
        self.keep_going = keep_going

    def go(self, folder, examples=EXAMPLES):
        better = lambda new, old: old is None or new.metrics["score"] > old.metrics["score"]  # noqa: E731
        hooks = Hooks(
            self.validate, better, self.keep_going, lambda step, steps, _: self.progress.append((step, steps))
        )
        job = TrainingJob(self.tuned, self.encoder, examples, self.settings, folder / "best")
        torch.manual_seed(0)
        train(job, hooks, self.meters, self.result)
        return self

    def validate(self, step):
        self.weights[step] = self.now()
        return Evaluated(step=step, metrics={"score": self.scores.get(step, 0.0)}, loss=1.0)

    def now(self):
        return torch.cat([p.detach().flatten() for p in self.tuned.trainable().values()])

    @property
    def losses(self):
        return [step.loss for step in self.result.train_curve]

    @property
    def rates(self):
        return [step.learning_rate for step in self.result.train_curve]


def mean_loss(run, examples):
    """Return the loss a supervised token over all examples, without training."""
    with torch.no_grad(), run.tuned.evaluating():
        return Scorer(run.tuned, run.encoder, None, 32).run(examples).evaluated(0, {}).loss


@pytest.mark.parametrize("labels", [("yes", "no"), ("yes", "maybe, but not now")], ids=["one token", "several"])
@pytest.mark.parametrize("method", [PromptTuning(num_virtual_tokens=4), Lora(rank=2)], ids=["prompt", "lora"])
def test_gradient_accumulation_changes_the_memory_and_not_the_result(tmp_path, method, labels):
    # One batch has labels of different lengths: a mean of the micro-batches' means would be another loss.
    one, four, three = (
        Run(method, labels=labels, gradient_accumulation_steps=n).go(tmp_path / str(n)) for n in (1, 4, 3)
    )
    assert_close(four.now(), one.now())
    assert_close(three.now(), one.now())
    assert four.losses == pytest.approx(one.losses, rel=1e-5)
    assert [s.tokens for s in four.result.train_curve] == [s.tokens for s in one.result.train_curve]
    assert len(four.losses) == 6


def gradient_norms(run, folder):
    """Return the norms of the gradients that the optimizer really gets."""
    seen = []

    def look(optimizer, *_):
        gradients = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
        seen.append(torch.cat(gradients).norm().item())

    hook = register_optimizer_step_pre_hook(look)
    try:
        run.go(folder)
    finally:
        hook.remove()
    return seen


def test_gradients_are_clipped_and_the_norm_before_is_recorded(tmp_path):
    run = Run(max_grad_norm=1e-3)
    seen = gradient_norms(run, tmp_path)
    assert seen == pytest.approx([1e-3] * 6, rel=1e-3)
    assert all(step.grad_norm > 0.01 for step in run.result.train_curve)


def test_null_does_not_clip(tmp_path):
    run = Run(max_grad_norm=None)
    assert gradient_norms(run, tmp_path) == pytest.approx([step.grad_norm for step in run.result.train_curve])


@pytest.mark.parametrize(
    ("name", "warmup", "expected"),
    [
        ("linear", 0.0, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        ("constant", 0.0, [1] * 10),
        ("cosine", 0.0, [(1 + math.cos(math.pi * i / 10)) / 2 for i in range(10)]),
        ("linear", 0.2, [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ("constant", 0.2, [0, 0.5, *[1] * 8]),
        ("cosine", 0.2, [0, 0.5, *((1 + math.cos(math.pi * i / 8)) / 2 for i in range(8))]),
    ],
)
def test_the_learning_rate_follows_its_schedule(tmp_path, name, warmup, expected):
    run = Run(max_steps=10, learning_rate=0.02, lr_scheduler_type=name, warmup_ratio=warmup, batch_size=2).go(tmp_path)
    assert run.rates == pytest.approx([0.02 * share for share in expected])


def test_steps_count_from_one_and_every_one_is_told(tmp_path):
    run = Run(max_steps=3).go(tmp_path)
    assert [s.step for s in run.result.train_curve] == [1, 2, 3]
    assert run.progress == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("epochs", "size", "steps"), [(None, 16, 200), (1.0, 16, 2), (3.0, 10, 12), (0.5, 8, 2), (0.01, 32, 1), (1.1, 8, 5)]
)
def test_epochs_become_steps_over_all_batches(epochs, size, steps):
    assert planned_steps(Training(num_train_epochs=epochs, batch_size=size), 32) == steps


@pytest.mark.parametrize(("every", "expected"), [(2, [2, 4, 5]), (5, [5]), (7, [5]), (None, [1, 2, 3, 4, 5])])
def test_validation_runs_every_so_many_steps_and_at_the_end(tmp_path, every, expected):
    run = Run(max_steps=5, eval_steps=every, batch_size=2).go(tmp_path)
    assert [e.step for e in run.result.validation_curve] == expected


@pytest.mark.parametrize("method", [PromptTuning(num_virtual_tokens=4), Lora(rank=2)], ids=["prompt", "lora"])
@pytest.mark.parametrize(
    ("scores", "best"), [({1: 0.2, 2: 0.9, 3: 0.5}, 2), ({6: 0.3}, 6), ({2: 0.5, 4: 0.5}, 2), ({}, 1)]
)
def test_the_weights_of_the_best_validation_are_what_is_left(tmp_path, method, scores, best):
    run = Run(method, scores, eval_steps=1).go(tmp_path)
    assert run.result.best.step == best
    assert torch.equal(run.now(), run.weights[best])
    assert best == 6 or not torch.equal(run.now(), run.weights[6])


def test_training_stops_early_after_so_many_validations_without_a_better_one(tmp_path):
    run = Run(scores={1: 0.1, 2: 0.4, 3: 0.2, 4: 0.3, 5: 0.9}, eval_steps=1, early_stopping_patience=2).go(tmp_path)
    assert [e.step for e in run.result.validation_curve] == [1, 2, 3, 4]
    assert torch.equal(run.now(), run.weights[2])


def test_a_better_validation_renews_the_patience(tmp_path):
    scores = {1: 0.1, 2: 0.0, 3: 0.2, 4: 0.1, 5: 0.3}
    assert len(Run(scores=scores, eval_steps=1, early_stopping_patience=2).go(tmp_path).losses) == 6


def test_a_poisoned_parameter_is_divergence_and_the_curve_so_far_stays(tmp_path):
    run = Run()

    def poison(step):
        if step == 3:
            run.tuned.prompt.data[0, 0] = math.nan

    run.tuned.after_step = poison
    with pytest.raises(Diverged, match="loss is nan at step 4 of 6"):
        run.go(tmp_path)
    assert [s.step for s in run.result.train_curve] == [1, 2, 3]
    assert all(math.isfinite(loss) for loss in run.losses)


def test_train_is_the_time_of_the_steps_alone(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("bench.training.memory.time.perf_counter", lambda: now[0])

    def taking(seconds, method):
        def timed(*args, **named):
            now[0] += seconds
            return method(*args, **named)

        return timed

    run = Run(scores={1: 0.2, 2: 0.1, 3: 0.5}, eval_steps=1, keep_going=taking(1000, lambda _: True))
    run.encoder.tokenise = taking(1, run.encoder.tokenise)
    run.tuned.logits = taking(10, run.tuned.logits)
    run.tuned.save, run.tuned.load = taking(100, run.tuned.save), taking(100, run.tuned.load)
    run.validate = taking(10_000, run.validate)
    run.go(tmp_path)
    result = run.result
    assert result.measured_steps in (1, 2)
    timed = 6 - result.measured_steps
    assert run.meters.seconds == {
        "load": 0,
        "encode": 1,
        "train": 10 * timed,
        "measure": 10 * result.measured_steps,
        "validate": 60_000,
        "save": 300,
        "wait": 6000,
    }
    tokens = [step.tokens for step in result.train_curve]
    assert 0 < result.timed_tokens <= sum(tokens) - tokens[1]


def test_an_enormous_learning_rate_is_divergence(tmp_path):
    run = Run(Lora(rank=2), learning_rate=1e30, eval_steps=100)
    with pytest.raises(Diverged, match=r"(loss|gradient norm) is (nan|inf) at step [23]"):
        run.go(tmp_path)
    assert run.result.train_curve


def test_a_step_that_ruins_the_weights_right_before_validation_is_divergence(tmp_path):
    run = Run(max_steps=1)
    scorer = Scorer(run.tuned, run.encoder, None, 8)
    run.validate = lambda step: scorer.run(EXAMPLES).evaluated(step, {})
    run.tuned.after_step = lambda _: run.tuned.prompt.data.fill_(math.inf)
    with pytest.raises(Diverged, match="validation loss is not finite after step 1 of 1"):
        run.go(tmp_path)
    assert run.result.best is None
    assert not (tmp_path / "best").exists()


def test_the_study_prunes_after_a_validation_and_the_curves_stay(tmp_path):
    run = Run(eval_steps=2, keep_going=lambda evaluated: evaluated.step < 4)
    with pytest.raises(Pruned, match="after step 4 of 6"):
        run.go(tmp_path)
    assert [e.step for e in run.result.validation_curve] == [2, 4]
    assert len(run.losses) == 4


def test_what_has_reached_its_end_is_not_pruned_any_more(tmp_path):
    assert len(Run(eval_steps=6, keep_going=lambda _: False).go(tmp_path).losses) == 6


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("grouped", [True, False], ids=["by length", "mixed"])
def test_the_loss_falls(tmp_path, optimizer, grouped):
    settings = {"max_steps": 40, "batch_size": 16, "learning_rate": 0.05, "lr_scheduler_type": "constant"}
    run = Run(optimizer=optimizer, group_by_length=grouped, eval_steps=40, **settings).go(tmp_path)
    assert run.rates == [0.05] * 40
    assert sum(run.losses[-8:]) < 0.6 * sum(run.losses[:8])


def test_batches_by_length_learn_what_mixed_ones_learn(tmp_path):
    # The trap: here the length tells the label, so that batches of one length are mostly batches of one label.
    examples = [example(i, "ab"[i % 2] + "klmnop"[i % 6] * (1 + i % 9 + 6 * (i % 2)), i % 2) for i in range(160)]
    losses = {}
    for grouped in (True, False):
        run = Run(group_by_length=grouped, max_steps=80, eval_steps=80, learning_rate=0.05, weight_decay=0.0)
        before = mean_loss(run, examples)
        run.go(tmp_path / str(grouped), examples)
        losses[grouped] = mean_loss(run, examples)
        assert losses[grouped] < 0.5 * before
    assert losses[True] == pytest.approx(losses[False], rel=0.1)


def test_adafactor_steps_by_its_own_rate_and_not_by_the_size_of_the_weights(tmp_path):
    # With parameter scaling a prompt of zeros would hardly move.
    run = Run(optimizer="adafactor", learning_rate=0.05, lr_scheduler_type="constant", max_steps=1)
    run.tuned.prompt.data.zero_()
    run.go(tmp_path)
    assert run.now().abs().mean() > 0.01


def test_weight_decay_shrinks_the_weights(tmp_path):
    norms = [Run(weight_decay=decay).go(tmp_path / str(decay)).now().norm() for decay in (0.0, 5.0)]
    assert norms[1] < 0.97 * norms[0]


def test_parameters_that_receive_a_gradient_are_counted(tmp_path):
    for method in (PromptTuning(num_virtual_tokens=4), Lora(rank=2)):
        run = Run(method, max_steps=3).go(tmp_path)
        assert run.result.with_gradient == len(run.now())


def test_methods_are_told_before_and_after_every_step_in_training_mode(tmp_path):
    run = Run(max_steps=2, eval_steps=1)
    heard = []
    run.tuned.before_step = lambda step: heard.append(("before", step, run.base.network.training))
    run.tuned.after_step = lambda step: heard.append(("after", step, run.base.network.training))
    run.go(tmp_path)
    assert heard == [(when, step, True) for step in (1, 2) for when in ("before", "after")]


@pytest.mark.parametrize("warmup_ratio", [0.0, 0.4])
def test_every_parameter_of_lora_has_a_gradient_when_they_are_counted(tmp_path, warmup_ratio):
    run = Run(Lora(rank=2), warmup_ratio=warmup_ratio).go(tmp_path)
    assert run.result.with_gradient == sum(p.numel() for p in run.tuned.trainable().values())


def test_the_study_hears_of_every_validation(tmp_path):
    """Of the last one too: a study that is rebuilt from the record has them all, and has to decide as this one does."""
    heard = []
    run = Run(
        scores={1: 0.5}, eval_steps=1, early_stopping_patience=2, keep_going=lambda e: heard.append(e.step) or True
    )
    run.go(tmp_path)
    assert heard == [e.step for e in run.result.validation_curve] == [1, 2, 3]
