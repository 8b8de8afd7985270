"""The batch that every forward pass takes, and which examples go into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Sequences padded on the right, and the positions whose next token is asked for."""

    input_ids: Tensor
    """[B, L] token ids, without virtual tokens."""
    attention_mask: Tensor
    """[B, L] 1 for real tokens."""
    positions: Tensor
    """Bool [B, L], or [B, T] of the decoder: True where the logits of the next token are wanted. An encoder answers
    once an example, whatever they say."""
    targets: Tensor
    """[N] the next tokens at those positions, in row-major order; of an encoder [B], the labels' indices."""
    decoder_input_ids: Tensor | None = None
    """[B, T] for encoder-decoders."""

    def __len__(self) -> int:
        return self.input_ids.shape[0]


def evaluation_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return the indices of all examples in batches of similar length, longest first.

    Longest first, so that a batch that does not fit in memory fails at once.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
