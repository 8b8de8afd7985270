"""Batches of token rows of unequal lengths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.forward.batch import Batch


def padded(rows: Sequence[Sequence[int]], pad: int = 0) -> tuple[Tensor, Tensor]:
    """Return the ids and the mask [B, L] of rows, padded on the right."""
    mask = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    ids = torch.full_like(mask, pad)
    for index, row in enumerate(rows):
        ids[index, : len(row)], mask[index, : len(row)] = torch.tensor(row), 1
    return ids, mask


def asked_of(rows: Sequence[Sequence[int]], generator: torch.Generator, pad: int = 0) -> Batch:
    """Return a batch of which any positions are asked for, the last real one of each example among them."""
    ids, mask = padded(rows, pad)
    positions = (torch.rand(mask.shape, generator=generator) < 0.35) & mask.bool()
    positions[torch.arange(len(rows)), mask.sum(1) - 1] = True
    return Batch(ids, mask, positions, torch.randint(4, 100, (int(positions.sum()),), generator=generator))
