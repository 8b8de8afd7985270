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
from bench.training.batching import training_batches
from bench.training.encoding import Encoder, Pair
from bench.training.memory import Meters
from bench.training.optimization import planned_steps
from bench.training.ranks import Ranks
from bench.training.step import Diverged

if TYPE_CHECKING:
    from bench.datasets.examples import Example


class Pruned(Exception):
    """The study has no further interest in this trial."""


@dataclass
class Outcome:
    """What training left behind; filled as it goes, so that a trial that ends early keeps its curve."""

    train_curve: list[TrainStep] = field(default_factory=list)
    validation_curve: list[Evaluated] = field(default_factory=list)
    best: Evaluated | None = None
    best_tokens: int = 0
    tokens: int = 0
    """Real input tokens trained on."""
    answers: int = 0
    """Positions with a loss."""
    truncated: int = 0
    """Training inputs that were cut to fit the context."""
    with_gradient: int | None = None


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


def train(
    tuned: TunedModel,
    encoder: Encoder,
    examples: Sequence[Example],
    room: int | None,
    settings: Training,
    dtype: torch.dtype,
    seed: int,
    hooks: Hooks,
    meters: Meters,
    checkpoint: Path,
    outcome: Outcome,
    ranks: Ranks | None = None,
) -> None:
    """Train ``tuned`` and leave it with the weights of its best validation.

    Args:
        tuned: the method on its model.
        encoder: encodes the examples.
        examples: the training split.
        room: tokens of text that fit (see `Encoder.room`).
        settings: steps, optimizer, schedule.
        dtype: precision of the forward pass.
        seed: seeds the data order; dropout is seeded by the caller.
        hooks: what the loop tells and asks.
        meters: told which phase runs.
        checkpoint: folder for the best weights.
        outcome: filled as training goes on.
        ranks: the processes that train together; None is this one alone.

    Raises:
        Diverged: the loss or the gradient is not finite.
        Pruned: the study has stopped the trial.
    """
    ranks = ranks or Ranks()
    steps = planned_steps(settings, len(examples))
    stepper = ranks.stepper(tuned, encoder, settings, dtype, steps)
    inputs, outcome.truncated = encoder.inputs(examples, room)
    pairs: list[Pair] = [(ids, encoder.label_ids[e.label]) for ids, e in zip(inputs, examples, strict=True)]
    lengths = [len(ids) + len(label) for ids, label in pairs]
    batches = training_batches(lengths, settings.batch_size, steps, seed, settings.group_by_length)
    measured = measured_steps([sum(lengths[i] for i in batch) for batch in batches]) if ranks.counts_tensors else set()
    every = settings.eval_steps or max(1, steps // 10)
    patience = 0

    for number, rows in enumerate(batches, start=1):
        tuned.train(True)
        measuring = meters.live_tensors(stepper.roots()) if number in measured else nullcontext()
        with measuring:
            # Not on the first step: half of LoRA's matrices are zero then, and so are the others' gradients.
            step = stepper.take([pairs[i] for i in rows], count_gradients=number == min(2, steps))
        if step.with_gradient is not None:
            outcome.with_gradient = step.with_gradient
        outcome.tokens += step.tokens
        outcome.answers += sum(len(pairs[i][1]) for i in rows)
        outcome.train_curve.append(
            TrainStep(
                step=number,
                loss=step.loss,
                learning_rate=step.learning_rate,
                grad_norm=step.grad_norm,
                tokens=step.tokens,
            )
        )
        hooks.progress(number, steps, step.loss)

        if number % every and number != steps:
            continue
        with meters.phase("validate"):
            evaluated = hooks.validate(number)
        if evaluated.loss is None:
            # The last step may have done it. Its predictions are no predictions, and may look like good ones.
            raise Diverged(f"validation loss is not finite after step {number} of {steps}")
        outcome.validation_curve.append(evaluated)
        if hooks.better(evaluated, outcome.best):
            outcome.best, patience = evaluated, 0
            tuned.save(checkpoint)
        else:
            patience += 1
        if number == steps or patience == settings.early_stopping_patience:
            break
        if not hooks.keep_going(evaluated):
            raise Pruned(f"by the study after step {number} of {steps}")

    if outcome.best is not None and outcome.best.step != outcome.train_curve[-1].step:
        tuned.load(checkpoint)


def measured_steps(tokens: Sequence[int]) -> set[int]:
    """Return the steps (from 1) on which live tensors are counted: the second and the largest.

    Counting slows a step down. The second is the first with optimizer state, and memory peaks on the
    batch with most tokens.
    """
    return {min(2, len(tokens)), max(range(len(tokens)), key=tokens.__getitem__) + 1}
