"""Memory and FLOPs of a cell before its weights are there: a lower bound, and a rule of thumb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from bench.methods.base import TunedModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FLOAT32 = 4
_STATE = 3 * _FLOAT32
"""Bytes a trained parameter besides itself: its gradient and the two moments of AdamW."""


@dataclass(frozen=True)
class Costs:
    """What a method on a model costs at least, and about."""

    frozen: int
    """Parameters that are not trained."""
    trained: int
    """Parameters that are trained; always kept in float32."""
    matrices: int | None
    """N, the parameters that a token is multiplied with; None for an encoder-decoder, whose tokens run through a
    half of it each."""

    def memory_floor(self, bytes_per_weight: int = _FLOAT32) -> int:
        """Return the bytes that training needs for weights, gradients and AdamW moments alone.

        Activations come on top: they depend on batch size and length, and a trial measures them.

        Args:
            bytes_per_weight: of a frozen weight: 4 in float32, 2 in bfloat16.
        """
        return self.frozen * bytes_per_weight + self.trained * (_FLOAT32 + _STATE)

    @property
    def forward_flops(self) -> int | None:
        """FLOPs of a forward pass by token, 2 N (Kaplan et al. 2020, arXiv:2001.08361); attention is not counted."""
        return None if self.matrices is None else 2 * self.matrices

    @property
    def training_flops(self) -> int | None:
        """FLOPs of a training step by token: 4 N for forward and for the gradient through frozen weights.

        The gradient of the trained weights themselves comes to 2 a parameter: 6 N in all for full fine-tuning.
        """
        if self.matrices is None or not self.trained:
            return None
        return 4 * self.matrices + 2 * min(self.trained, self.matrices)


def costs_of(tuned: TunedModel) -> Costs:
    """Return the costs of an attached method; the meta device will do."""
    trained = sum(parameter.numel() for parameter in tuned.trainable().values())
    return Costs(
        frozen=max(0, tuned.base.parameters + tuned.added_parameters() - trained),
        trained=trained,
        matrices=None if tuned.base.kind == "seq2seq" else matrix_parameters(tuned.network),
    )


def matrix_parameters(network: PreTrainedModel) -> int:
    """Count the parameters of all matrices, the head's among them; looking up an embedding multiplies nothing."""
    looked_up = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    found = {id(p): p.numel() for p in network.parameters() if p.dim() > 1 and id(p) not in looked_up}
    head = network.get_output_embeddings()
    if head is not None:
        found[id(head.weight)] = head.weight.numel()  # tied or not
    return sum(found.values())
