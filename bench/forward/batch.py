"""The batch that every forward pass takes."""

from __future__ import annotations

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
