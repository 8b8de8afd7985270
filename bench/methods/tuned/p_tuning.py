"""Input embeddings that a small network yields, by peft's own network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.methods.tuned.prompted import Prompted, RowEncoder, prompt_settings

if TYPE_CHECKING:
    from bench.models.language_model import LanguageModel

ENCODER_WEIGHTS = Path("encoder", "prompt_encoder.safetensors")
"""Where the network itself is saved."""


class EncodedPrompt(Prompted):
    """A frozen model behind the embeddings that a trained network yields, in float32.

    Args:
        base: the frozen base model.
        virtual_tokens: P.
        sizes: of the network, as peft's ``PromptEncoderConfig`` names them.
        seed: seeds its weights.
    """

    def __init__(self, base: LanguageModel, virtual_tokens: int, sizes: Mapping[str, Any], seed: int) -> None:
        from peft import PromptEncoder, PromptEncoderConfig

        super().__init__(base, virtual_tokens)
        width = self.network.get_input_embeddings()(torch.zeros(1, dtype=torch.long, device=base.device)).shape[1]
        config = PromptEncoderConfig(**prompt_settings(base, virtual_tokens, width), **sizes)
        self._rows = RowEncoder(base, PromptEncoder, config, seed, ENCODER_WEIGHTS)

    @property
    def encoder(self) -> nn.Module:
        """The network that yields the prompt."""
        return self._rows.network

    @property
    def prompt(self) -> Tensor:
        """The embeddings [P, E] that the network yields."""
        return self._rows.rows()

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the network's weights, the embeddings at its entrance among them, and an encoder's head."""
        return {**dict(self.encoder.named_parameters()), **super().trainable()}

    def train(self, mode: bool) -> None:
        """Switch the dropout of model and network."""
        super().train(mode)
        self.encoder.train(mode)

    def save(self, folder: Path) -> None:
        """Write PEFT's files, and the network beside them."""
        self._rows.save(folder)

    def load(self, folder: Path) -> None:
        """Read the network back, in place."""
        self._rows.load(folder)
