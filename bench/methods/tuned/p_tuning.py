"""Input embeddings that a small network yields, by peft's own network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.methods.tuned.prompted import Encoded, Prompted, prompt_settings

if TYPE_CHECKING:
    from bench.models.language_model import LanguageModel

ENCODER_WEIGHTS = Path("encoder", "prompt_encoder.safetensors")
"""Where the network itself is saved."""


class EncodedPrompt(Encoded, Prompted):
    """A frozen model behind the embeddings that a trained network yields, in float32.

    Args:
        base: the frozen base model.
        virtual_tokens: P.
        sizes: of the network, as peft's ``PromptEncoderConfig`` names them.
        seed: seeds its weights.
    """

    def __init__(self, base: LanguageModel, virtual_tokens: int, sizes: Mapping[str, Any], seed: int) -> None:
        from peft import PromptEncoder, PromptEncoderConfig

        width = base.network.get_input_embeddings()(torch.zeros(1, dtype=torch.long, device=base.device)).shape[1]
        config = PromptEncoderConfig(**prompt_settings(base, virtual_tokens, width), **sizes)
        super().__init__(base, PromptEncoder, config, seed, ENCODER_WEIGHTS)

    @property
    def prompt(self) -> Tensor:
        """The embeddings [P, E] that the network yields."""
        return self.rows()
