"""The training loop: the same for every method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from bench.methods.base import TunedModel
from bench.records import Evaluated, TrainStep
from bench.spec import Training
from bench.training.batching import training_batches
from bench.training.device import autocast
from bench.training.encoding import Encoder, Pair
from bench.training.memory import Meters
from bench.training.optimization import build_optimizer, build_schedule, planned_steps

if TYPE_CHECKING:
    from bench.datasets.base import Example


class Diverged(Exception):
    """The loss or the gradient is not a finite number any more."""


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

    Raises:
        Diverged: the loss or the gradient is not finite.
        Pruned: the study has stopped the trial.
    """
    parameters = list(tuned.trainable().values())
    steps = planned_steps(settings, len(examples))
    optimizer = build_optimizer(settings, parameters)
    schedule = build_schedule(settings, optimizer, steps)
    inputs, outcome.truncated = encoder.inputs(examples, room)
    pairs: list[Pair] = [(ids, encoder.label_ids[e.label]) for ids, e in zip(inputs, examples, strict=True)]
    lengths = [len(ids) + len(label) for ids, label in pairs]
    batches = training_batches(lengths, settings.batch_size, steps, seed, settings.group_by_length)
    measured = measured_steps([sum(lengths[i] for i in batch) for batch in batches])
    every = settings.eval_steps or max(1, steps // 10)
    patience = 0

    for step, rows in enumerate(batches, start=1):
        tuned.train(True)
        tuned.before_step(step)
        rate = schedule.get_last_lr()[0]
        measuring = meters.live_tensors(_roots(tuned, parameters, optimizer)) if step in measured else nullcontext()
        with measuring:
            loss, tokens = _accumulate(tuned, encoder, [pairs[i] for i in rows], settings, dtype)
            norm = float(clip_grad_norm_(parameters, settings.max_grad_norm or math.inf))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient norm is {norm}"
                raise Diverged(f"{what} at step {step} of {steps}")
            if step == min(2, steps):
                # Not the first: half of LoRA's matrices are zero then, and so are the others' gradients.
                outcome.with_gradient = sum(int(p.grad.count_nonzero()) for p in parameters if p.grad is not None)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        schedule.step()
        tuned.after_step(step)
        outcome.tokens += tokens
        outcome.train_curve.append(TrainStep(step=step, loss=loss, learning_rate=rate, grad_norm=norm, tokens=tokens))
        hooks.progress(step, steps, loss)

        if step % every and step != steps:
            continue
        with meters.phase("validate"):
            evaluated = hooks.validate(step)
        if evaluated.loss is None:
            # The last step may have done it. Its predictions are no predictions, and may look like good ones.
            raise Diverged(f"validation loss is not finite after step {step} of {steps}")
        outcome.validation_curve.append(evaluated)
        if hooks.better(evaluated, outcome.best):
            outcome.best, patience = evaluated, 0
            tuned.save(checkpoint)
        else:
            patience += 1
        if step == steps or patience == settings.early_stopping_patience:
            break
        if not hooks.keep_going(evaluated):
            raise Pruned(f"by the study after step {step} of {steps}")

    if outcome.best is not None and outcome.best.step != outcome.train_curve[-1].step:
        tuned.load(checkpoint)


def measured_steps(tokens: Sequence[int]) -> set[int]:
    """Return the steps (from 1) on which live tensors are counted: the second and the largest.

    Counting slows a step down. The second is the first with optimizer state, and memory peaks on the
    batch with most tokens.
    """
    return {min(2, len(tokens)), max(range(len(tokens)), key=tokens.__getitem__) + 1}


def _accumulate(
    tuned: TunedModel, encoder: Encoder, pairs: list[Pair], settings: Training, dtype: torch.dtype
) -> tuple[float, int]:
    """Run forward and backward over a batch; return its mean loss a supervised token and its real tokens."""
    supervised = sum(len(target) for _, target in pairs)
    size = math.ceil(len(pairs) / settings.gradient_accumulation_steps)
    total, tokens = 0.0, 0
    for start in range(0, len(pairs), size):
        batch = encoder.batch(pairs[start : start + size])
        with autocast(encoder.device, dtype):
            logits = tuned.logits(batch)
        # The sum over all micro-batches is divided once, so that the result does not depend on their size.
        loss = cross_entropy(logits.float(), batch.targets, reduction="sum") / supervised
        loss.backward()
        total += loss.item()
        tokens += int(batch.attention_mask.sum())
    return total, tokens


def _roots(tuned: TunedModel, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    """Yield what is alive before a step: weights, buffers, trained parameters, optimizer state."""
    yield from tuned.network.parameters()
    yield from tuned.network.buffers()
    yield from parameters
    for state in optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))
