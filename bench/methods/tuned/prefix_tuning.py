"""Trained keys and values before those of the input, by peft's own encoder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.core.errors import Infeasible
from bench.forward.shared_prefix import KeysAndValues, holds_all_positions, prefix_of
from bench.methods.tuned.prompted import Encoded, prompt_settings

if TYPE_CHECKING:
    from bench.models.language_model import LanguageModel

ENCODER_WEIGHTS = Path("encoder", "prefix_encoder.safetensors")
"""Where a projection is saved."""


class TrainedPrefix(Encoded):
    """A frozen model behind P trained keys and values a layer, in float32.

    The rows that yield them are laid out as peft does: [P, layers x 2 x heads x head size], keys before values.

    Args:
        base: the frozen base model.
        virtual_tokens: P.
        settings: of peft's ``PrefixTuningConfig``: whether a projection yields the rows, its size, where they begin.
        seed: seeds whatever is drawn.
    """

    def __init__(self, base: LanguageModel, virtual_tokens: int, settings: Mapping[str, Any], seed: int) -> None:
        from peft import PrefixEncoder, PrefixTuningConfig

        self._layers, self._heads, self._head_size = _shape(base)
        shape = {"num_attention_heads": self._heads, "num_layers": self._layers}
        common = prompt_settings(base, virtual_tokens, self._heads * self._head_size) | shape
        config = PrefixTuningConfig(**common, **settings)
        super().__init__(base, PrefixEncoder, config, seed, ENCODER_WEIGHTS if config.prefix_projection else None)

    def prefix(self) -> KeysAndValues:
        """Return the prefix as the network's layers take it."""
        rows = self.rows().to(self.network.dtype)
        parts = rows.view(self.virtual_tokens, 2 * self._layers, self._heads, self._head_size).permute(1, 2, 0, 3)
        return [(parts[2 * layer][None], parts[2 * layer + 1][None]) for layer in range(self._layers)]

    def begin_with(self, ids: list[int]) -> None:
        """Set the prefix to the keys and values of P tokens, as the model computes them; not for a projection."""
        with torch.no_grad():
            embedded = self.network.get_input_embeddings()(torch.tensor(ids, device=self.base.device))
            parts = torch.cat([part for pair in prefix_of(self.network, embedded) for part in pair])
            rows = parts.permute(2, 0, 1, 3).reshape(self.virtual_tokens, -1)
            self.encoder.embedding.weight.copy_(rows)  # type: ignore[union-attr,operator]


def _shape(base: LanguageModel) -> tuple[int, int, int]:
    """Return layers, heads and head size of the network's keys, as a token's run through it has them."""
    if base.network.config.is_encoder_decoder:
        # PEFT's way here is not the paper's: its decoder's layers i and i + L/2 read the same keys and values, and
        # half of what it trains is never read. A prefix of ours that is one for each layer would load there as another.
        raise Infeasible(
            "prefix tuning is for decoders and encoders: of an encoder-decoder PEFT reads only half of the keys and "
            "values that it trains, so there is nothing to agree with; use prompt_tuning, p_tuning or lora"
        )
    pairs: KeysAndValues = []
    with torch.no_grad(), suppress(TypeError, ValueError, AttributeError):  # one that takes none may say so (DeBERTa)
        one = base.network.get_input_embeddings()(torch.zeros(1, dtype=torch.long, device=base.device))
        # or leave the cache empty without a word (DistilBERT).
        pairs = prefix_of(base.network, one) if holds_all_positions(base.network) else []
    if not pairs:
        raise Infeasible(
            "prefix tuning needs a model that takes keys and values before those of its input in every layer; "
            f"{type(base.network).__name__} does not"
        )
    if len({part.shape for pair in pairs for part in pair}) > 1:
        raise Infeasible("prefix tuning needs keys and values of one size in all layers; this model's differ")
    _, heads, _, size = pairs[0][0].shape
    return len(pairs), heads, size
