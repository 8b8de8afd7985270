"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import Adafactor, get_scheduler

from bench.experiment.settings import Training


def rate_groups(
    groups: Iterable[Iterable[Parameter]], factors: Mapping[Parameter, float], rate: float
) -> list[dict[str, Any]]:
    """Return the optimizer's groups: those given, divided further by the factors of the learning rate."""
    divided: dict[tuple[int, float], list[Parameter]] = {}
    for index, group in enumerate(groups):
        for parameter in group:
            divided.setdefault((index, factors.get(parameter, 1.0)), []).append(parameter)
    return [{"params": group, "lr": factor * rate, "factor": factor} for (_, factor), group in divided.items()]


def build_optimizer(settings: Training, parameters: Iterable[Any]) -> Optimizer:
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


def build_schedule(settings: Training, optimizer: Optimizer, steps: int) -> LRScheduler:
    """Return the schedule: linear warm-up, then linear or cosine decay to 0, or constant."""
    warmup = math.ceil(steps * settings.warmup_ratio)
    name = "constant_with_warmup" if settings.lr_scheduler_type == "constant" else settings.lr_scheduler_type
    schedule: LRScheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    return schedule


def planned_steps(settings: Training, examples: int) -> int:
    """Return the number of optimizer steps of a run over ``examples`` training examples."""
    if settings.num_train_epochs is None:
        return settings.max_steps
    return max(1, math.ceil(settings.num_train_epochs * math.ceil(examples / settings.batch_size)))
