"""The training loop: the same for every method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.experiment.settings import Training
from bench.methods.base import TunedModel
from bench.runs.record import Evaluated, TrainStep
from bench.training.batching import planned_steps, training_batches
from bench.training.encoding import Encoder
from bench.training.memory import Meters
from bench.training.ranks import Ranks
from bench.training.step import Diverged

if TYPE_CHECKING:
    from bench.datasets.examples import Example


class Pruned(Exception):
    """The study has no further interest in this trial."""


@dataclass(frozen=True)
class TrainingJob:
    """What is to be trained, on what, and how."""

    tuned: TunedModel
    encoder: Encoder
    examples: Sequence[Example]
    settings: Training
    checkpoint: Path
    """Folder for the best weights."""
    seed: int = 0
    """Seeds the data order; dropout is seeded by the caller."""
    room: int | None = None
    """Tokens of text that fit (see `Encoder.room`)."""
    dtype: torch.dtype = torch.float32
    ranks: Ranks = field(default_factory=Ranks)


@dataclass
class TrainingResult:
    """What training left behind; filled as it goes, so that a trial that ends early keeps its curve."""

    train_curve: list[TrainStep] = field(default_factory=list)
    validation_curve: list[Evaluated] = field(default_factory=list)
    best: Evaluated | None = None
    timed_tokens: int = 0
    """Those of the steps whose time is in ``seconds["train"]``: all but the measured ones."""
    measured_steps: int = 0
    """Steps on which live tensors were counted."""
    answers: int = 0
    """Positions with a loss."""
    truncated: int = 0
    """Training inputs that were cut to fit the context."""
    with_gradient: int | None = None

    @property
    def tokens(self) -> int:
        """Real input tokens trained on."""
        return sum(step.tokens for step in self.train_curve)

    @property
    def validations_since_best(self) -> int:
        """Validations after the best one, none of them better."""
        return sum(self.best is not None and one.step > self.best.step for one in self.validation_curve)

    def add(self, step: TrainStep, answers: int, measured: bool) -> None:
        """Enter an optimizer step."""
        self.train_curve.append(step)
        self.timed_tokens += 0 if measured else step.tokens
        self.measured_steps += measured
        self.answers += answers


@dataclass(frozen=True)
class Hooks:
    """What the loop tells the outside, and asks it."""

    validate: Callable[[int], Evaluated]
    """Evaluates the validation split after a step."""
    better: Callable[[Evaluated, Evaluated | None], bool]
    """Whether the first is better than the second, by the cell's objective."""
    keep_going: Callable[[Evaluated], bool]
    """Tells the study about a validation; False prunes the trial."""
    progress: Callable[[int, int, float], None]
    """Tells step, steps and loss."""


def train(job: TrainingJob, hooks: Hooks, meters: Meters, result: TrainingResult) -> None:
    """Train ``job.tuned`` and leave it with the weights of its best validation.

    ``result`` is filled as training goes on.

    Raises:
        Diverged: the loss or the gradient is not finite.
        Pruned: the study has stopped the trial.
    """
    settings, encoder = job.settings, job.encoder
    steps = planned_steps(settings, len(job.examples))
    with meters.phase("load"):
        stepper = job.ranks.stepper(job.tuned, encoder, settings, job.dtype, steps)
    with meters.phase("encode"):
        pairs, result.truncated = encoder.pairs(job.examples, job.room)
        lengths = [len(ids) + len(label) for ids, label in pairs]
        batches = training_batches(lengths, settings.batch_size, steps, job.seed, settings.group_by_length)
    # Not on the first step, nor while the rate has been 0: half of LoRA's matrices are zero then, and so are the
    # others' gradients.
    counted_step = min(3 if settings.warmup_ratio else 2, steps)
    counts = job.ranks.counts_tensors
    measured = measured_steps([sum(lengths[i] for i in batch) for batch in batches]) if counts else set()
    every = settings.steps_between_validations(steps)
    with meters.phase("train"):
        for number, rows in enumerate(batches, start=1):
            job.tuned.train(True)
            with meters.live_tensors(stepper.roots()) if number in measured else nullcontext():
                step = stepper.take([pairs[i] for i in rows], count_gradients=number == counted_step)
            result.with_gradient = stepper.with_gradient
            result.add(step, sum(len(pairs[i][1]) for i in rows), number in measured)
            hooks.progress(number, steps, step.loss)
            if number % every and number != steps:
                continue
            _validate(job, number, steps, hooks, meters, result)
            with meters.phase("wait"):
                going_on = hooks.keep_going(result.validation_curve[-1])
            if number == steps or result.validations_since_best == settings.early_stopping_patience:
                break
            if not going_on:
                raise Pruned(f"by the study after step {number} of {steps}")
    if result.validations_since_best:
        with meters.phase("save"):
            job.tuned.load(job.checkpoint)


def _validate(job: TrainingJob, number: int, steps: int, hooks: Hooks, meters: Meters, result: TrainingResult) -> None:
    """Validate after a step, and keep the weights if they are the best so far."""
    with meters.phase("validate"):
        evaluated = hooks.validate(number)
    if evaluated.loss is None:
        # The last step may have done it. Its predictions are no predictions, and may look like good ones.
        raise Diverged(f"validation loss is not finite after step {number} of {steps}")
    result.validation_curve.append(evaluated)
    if hooks.better(evaluated, result.best):
        result.best = evaluated
        with meters.phase("save"):
            job.tuned.save(job.checkpoint)


def measured_steps(tokens: Sequence[int]) -> set[int]:
    """Return the steps (from 1) on which live tensors are counted: the second and the largest.

    Counting slows a step down. The second is the first with optimizer state, and memory peaks on the
    batch with most tokens.
    """
    return {min(2, len(tokens)), max(range(len(tokens)), key=tokens.__getitem__) + 1}
