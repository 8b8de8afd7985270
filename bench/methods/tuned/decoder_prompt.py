"""A prompt on both sides of an encoder-decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.forward.batch import Batch
from bench.forward.padded import logits_at
from bench.methods.tuned.prompt_tuning import SoftPrompt

if TYPE_CHECKING:
    from bench.models.base import LanguageModel


class DecoderPrompt(SoftPrompt):
    """Trained embeddings before the encoder's input and further ones before the decoder's.

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
        rows, embedding = len(batch), self.network.get_input_embeddings()
        encoder, decoder = self.prompt.split([self.virtual_tokens, self.decoder_tokens])

        def behind(prompt: Tensor, ids: Tensor) -> Tensor:
            embedded = embedding(ids)
            return torch.cat([prompt.to(embedded.dtype).expand(rows, -1, -1), embedded], 1)

        return logits_at(
            self.network,
            torch.cat([batch.positions.new_zeros(rows, len(decoder)), batch.positions], 1),
            inputs_embeds=behind(encoder, batch.input_ids),
            attention_mask=torch.cat([batch.attention_mask.new_ones(rows, len(encoder)), batch.attention_mask], 1),
            decoder_inputs_embeds=behind(decoder, batch.decoder_input_ids),
            use_cache=False,
        )
