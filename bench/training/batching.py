"""How many batches a training takes, and which examples form them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from bench.experiment.settings import Training

SORTED_TOGETHER = 16
"""Batches among which examples are sorted by length; large enough that little padding is left."""


def planned_steps(settings: Training, examples: int) -> int:
    """Return the number of optimizer steps of a run over ``examples`` training examples."""
    if settings.num_train_epochs is None:
        return settings.max_steps
    return max(1, math.ceil(settings.num_train_epochs * math.ceil(examples / settings.batch_size)))


def training_batches(
    lengths: Sequence[int], batch_size: int, steps: int, seed: int, group_by_length: bool
) -> list[list[int]]:
    """Return the indices of every batch of a run, epoch after epoch, each epoch shuffled anew.

    With ``group_by_length`` a window of shuffled examples is sorted by length and cut into batches,
    and the batches are shuffled again: little padding, and no order from short to long.
    """
    generator = random.Random(seed)
    batches: list[list[int]] = []
    while len(batches) < steps:
        order = list(range(len(lengths)))
        generator.shuffle(order)
        if group_by_length:
            window = batch_size * SORTED_TOGETHER
            windows = [order[i : i + window] for i in range(0, len(order), window)]
            order = [index for part in windows for index in sorted(part, key=lengths.__getitem__)]
        epoch = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        if group_by_length:
            generator.shuffle(epoch)
        batches.extend(epoch)
    return batches[:steps]
