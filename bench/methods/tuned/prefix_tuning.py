"""Trained keys and values before those of the input, by peft's own encoder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.core.errors import Infeasible
from bench.forward.shared_prefix import KeysAndValues, holds_all_positions, prefix_of
from bench.methods.tuned.prompted import Prefixed, RowEncoder, prompt_settings

if TYPE_CHECKING:
    from bench.models.language_model import LanguageModel

ENCODER_WEIGHTS = Path("encoder", "prefix_encoder.safetensors")
"""Where a projection is saved."""


class TrainedPrefix(Prefixed):
    """A frozen model behind P trained keys and values a layer, in float32.

    Args:
        base: the frozen base model.
        virtual_tokens: P.
        seed: seeds whatever is drawn.
        zero: begin with zeros.
        projection: train an MLP that yields the prefix.
        hidden_size: width of that MLP's hidden layer.
    """

    def __init__(
        self,
        base: LanguageModel,
        virtual_tokens: int,
        seed: int,
        *,
        zero: bool = False,
        projection: bool = False,
        hidden_size: int = 512,
    ) -> None:
        from peft import PrefixEncoder, PrefixTuningConfig

        super().__init__(base, virtual_tokens)
        self._layers, self._heads, self._head_size = _shape(base)
        shape = {"num_attention_heads": self._heads, "num_layers": self._layers}
        config = PrefixTuningConfig(
            **prompt_settings(base, virtual_tokens, self._heads * self._head_size) | shape,
            prefix_projection=projection,
            encoder_hidden_size=hidden_size,
            init_weights="zero" if zero else None,
        )
        self._rows = RowEncoder(base, PrefixEncoder, config, seed, ENCODER_WEIGHTS if projection else None)

    @property
    def encoder(self) -> nn.Module:
        """The prefix, or the projection that yields it."""
        return self._rows.network

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the prefix, or the projection's weights, and an encoder's head."""
        return {**dict(self.encoder.named_parameters()), **super().trainable()}

    def rows(self) -> Tensor:
        """Return the prefix as peft lays it out: [P, layers x 2 x heads x head size], keys before values."""
        return self._rows.rows()

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

    def save(self, folder: Path) -> None:
        """Write PEFT's files, which hold the prefix itself, and beside them the projection if there is one."""
        self._rows.save(folder)

    def load(self, folder: Path) -> None:
        """Read back what `save` wrote, in place."""
        self._rows.load(folder)


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
