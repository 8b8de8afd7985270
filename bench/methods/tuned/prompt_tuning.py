"""Trained input embeddings before the input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.forward.batch import Batch
from bench.forward.decoding import CachedEncoderDecoder, Decoding, Recomputed
from bench.forward.padded import behind, embedded_behind, logits_at
from bench.methods.tuned.prompted import Prompted, load_rows, prompt_settings, save_rows

if TYPE_CHECKING:
    from bench.models.language_model import LanguageModel


class SoftPrompt(Prompted):
    """P input embeddings that are trained themselves, in float32.

    Args:
        base: the frozen base model.
        prompt: [P, E] initial embeddings.
    """

    def __init__(self, base: LanguageModel, prompt: Tensor) -> None:
        super().__init__(base, len(prompt))
        self._embeddings = nn.Parameter(prompt.detach().to(base.device, torch.float32).clone())

    @property
    def prompt(self) -> nn.Parameter:
        """The embeddings [P, E]."""
        return self._embeddings

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the prompt, and an encoder's head."""
        return {"prompt_embeddings": self.prompt, **super().trainable()}

    def save(self, folder: Path) -> None:
        """Write PEFT's ``adapter_config.json`` and ``adapter_model.safetensors``."""
        from peft import PromptTuningConfig

        config = PromptTuningConfig(**prompt_settings(self.base, *self.prompt.shape), inference_mode=True)
        save_rows(folder, config, self.prompt, self.base)

    def load(self, folder: Path) -> None:
        """Read a prompt back, in place."""
        self.prompt.data.copy_(load_rows(folder, self.base))


class DecoderPrompt(SoftPrompt):
    """Trained embeddings before the input of an encoder-decoder's encoder, and further ones before its decoder's.

    They are saved as one prompt; peft reads it, but gives the decoder nothing.

    Args:
        base: the frozen encoder-decoder.
        prompt: [P + D, E] initial embeddings, the encoder's first.
        decoder_tokens: D.
    """

    def __init__(self, base: LanguageModel, prompt: Tensor, decoder_tokens: int) -> None:
        super().__init__(base, prompt)
        self.decoder_tokens = decoder_tokens
        # Those of the encoder: only they take room from the text.
        self.virtual_tokens = len(prompt) - decoder_tokens

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits behind both prompts."""
        assert batch.decoder_input_ids is not None
        encoder, decoder = self._parts()
        return logits_at(
            self.network,
            torch.cat([batch.positions.new_zeros(len(batch), len(decoder)), batch.positions], 1),
            **behind(self.network, encoder, batch),
            decoder_inputs_embeds=embedded_behind(self.network, decoder, batch.decoder_input_ids),
            use_cache=False,
        )

    def decoding(self, batch: Batch) -> Decoding:
        """Begin the answers behind both prompts."""
        if not self.pathway.caches:
            return Recomputed(self.logits, batch)
        return CachedEncoderDecoder(self.network, batch, *self._parts())

    def _parts(self) -> list[Tensor]:
        """Return the embeddings of the encoder and of the decoder."""
        return list(self.prompt.split([self.virtual_tokens, self.decoder_tokens]))
