"""One optimizer step: forward, backward, clip, update."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import Adafactor, get_scheduler

from bench.experiment.settings import Training
from bench.methods.base import TunedModel
from bench.runs.record import TrainStep
from bench.training.answers import Pair
from bench.training.device import autocast
from bench.training.encoding import Encoder


class Diverged(Exception):
    """The loss or the gradient is not a finite number any more."""


class Stepper:
    """Takes the optimizer steps of a run, the same way for every method; the schedule is for so many ``steps``."""

    def __init__(self, tuned: TunedModel, encoder: Encoder, settings: Training, dtype: torch.dtype, steps: int) -> None:
        self.tuned = tuned
        self.encoder = encoder
        trained = tuned.trainable()
        self.parameters = list(trained.values())
        factors = {trained[name]: factor for name, factor in tuned.learning_rates().items()}
        self.optimizer = _optimizer(settings, _rate_groups(self._groups(), factors, settings.learning_rate))
        self._settings = settings
        self._dtype = dtype
        self._schedule = _schedule_of(settings, self.optimizer, steps)
        self._steps, self._taken = steps, 0
        self.with_gradient: int | None = None
        """Trained parameters whose gradient was not zero when they were counted last."""
        tuned.before_training(steps)

    def take(self, pairs: Sequence[Pair], count_gradients: bool = False) -> TrainStep:
        """Take one step over a batch.

        Raises:
            Diverged: the loss or the gradient is not finite; nothing was updated.
        """
        self._taken += 1
        self.tuned.before_step(self._taken)
        loss, tokens = self._accumulate(pairs)
        if (penalty := self.tuned.penalty()) is not None:
            penalty.backward()
        norm = self._clip()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient norm is {norm}"
            raise Diverged(f"{what} at step {self._taken} of {self._steps}")
        if count_gradients:
            self.with_gradient = self._count_gradients()
        rate = float(self._schedule.get_last_lr()[0]) / self.optimizer.param_groups[0]["factor"]
        self.optimizer.step()
        self.tuned.after_step(self._taken)
        self.optimizer.zero_grad(set_to_none=True)
        self._schedule.step()
        return TrainStep(step=self._taken, loss=loss, learning_rate=rate, grad_norm=norm, tokens=tokens)

    def roots(self) -> Iterator[Tensor]:
        """Yield what is alive between steps: weights, buffers, trained parameters, optimizer state."""
        yield from self.tuned.network.parameters()
        yield from self.tuned.network.buffers()
        yield from self.parameters
        for state in self.optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))

    def _groups(self) -> list[list[Parameter]]:
        """Return the parameters in the groups that an optimizer can work on together."""
        return [self.parameters]

    def _clip(self) -> float:
        """Clip the gradients; return their norm before."""
        return float(clip_grad_norm_(self.parameters, self._settings.max_grad_norm or math.inf))

    def _count_gradients(self) -> int:
        return sum(int(p.grad.count_nonzero()) for p in self.parameters if p.grad is not None)

    def _accumulate(self, pairs: Sequence[Pair]) -> tuple[float, int]:
        """Run forward and backward over a batch; return its mean loss a supervised token and its real tokens."""
        supervised = sum(len(target) for _, target in pairs)
        size = math.ceil(len(pairs) / self._settings.gradient_accumulation_steps)
        total, tokens = 0.0, 0
        for start in range(0, len(pairs), size):
            mine, counts = self._mine(pairs[start : start + size])
            batch = self.encoder.batch(mine)
            with autocast(self.encoder.device, self._dtype):
                logits = self.tuned.logits(batch)
            # The sum over all micro-batches is divided once, so that the result does not depend on their size.
            loss = cross_entropy(logits.float(), batch.targets, reduction="sum") / (supervised if counts else math.inf)
            loss.backward()
            total += loss.item()
            tokens += int(batch.attention_mask.sum()) if counts else 0
        return total, tokens

    def _mine(self, pairs: Sequence[Pair]) -> tuple[Sequence[Pair], bool]:
        """Return what this process runs of a micro-batch, and whether it counts; one process alone runs all of it."""
        return pairs, True


def _rate_groups(
    groups: Iterable[Iterable[Parameter]], factors: Mapping[Parameter, float], rate: float
) -> list[dict[str, Any]]:
    """Return the optimizer's groups: those given, divided further by the factors of the learning rate."""
    divided: dict[tuple[int, float], list[Parameter]] = {}
    for index, group in enumerate(groups):
        for parameter in group:
            divided.setdefault((index, factors.get(parameter, 1.0)), []).append(parameter)
    return [{"params": group, "lr": factor * rate, "factor": factor} for (_, factor), group in divided.items()]


def _optimizer(settings: Training, parameters: Iterable[Any]) -> Optimizer:
    """Return the optimizer that the settings name.

    Adafactor runs as in Lester et al., section 3: a constant rate of its own, no relative steps, no
    scaling by the parameter's size.
    """
    if settings.optimizer == "adafactor":
        return Adafactor(
            parameters,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            scale_parameter=False,
            relative_step=False,
        )
    # Fused: one pass over the weights and no temporary copies of them, on a CPU too.
    return AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)


def _schedule_of(settings: Training, optimizer: Optimizer, steps: int) -> LRScheduler:
    """Return the schedule: linear warm-up, then linear or cosine decay to 0, or constant."""
    warmup = math.ceil(steps * settings.warmup_ratio)
    name = "constant_with_warmup" if settings.lr_scheduler_type == "constant" else settings.lr_scheduler_type
    schedule: LRScheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    return schedule
