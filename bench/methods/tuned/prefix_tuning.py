"""Trained keys and values before those of the input, by peft's own encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.core.errors import Infeasible
from bench.forward.batch import Batch
from bench.forward.shared_prefix import KeysAndValues, holds_all_positions, prefix_of
from bench.methods.base import TunedModel
from bench.methods.tuned.initial_prompt import default_text, repeated, text_tokens
from bench.methods.tuned.prompt_tuning import load_prompt, prompt_settings, save_prompt

if TYPE_CHECKING:
    from peft import PrefixTuningConfig

    from bench.datasets.base import Splits
    from bench.methods.prefix_tuning import PrefixTuning
    from bench.models.base import LanguageModel

ENCODER_WEIGHTS = Path("encoder", "prefix_encoder.safetensors")
"""Where a projection is saved: peft keeps only what it yields, from which training cannot go on."""


class TrainedPrefix(TunedModel):
    """A frozen model behind P trained keys and values a layer, in float32.

    Args:
        base: the frozen base model.
        method: sizes, and where the prefix begins.
        dataset: its label words are read for an initial text.
        seed: seeds whatever is drawn.
    """

    def __init__(self, base: LanguageModel, method: PrefixTuning, dataset: Splits, seed: int) -> None:
        from peft import PrefixEncoder

        super().__init__(base)
        self._method = method
        self.virtual_tokens = method.num_virtual_tokens
        self._layers, self._heads, self._head_size = _shape(base)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder: nn.Module = PrefixEncoder(self._config(inference=False))
        self.encoder.to(base.device)
        if method.init == "text":
            self._begin_with(method.init_text or default_text(dataset.labels))
        self._prefix: KeysAndValues | None = None

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the prefix, or the projection's weights, and an encoder's head."""
        return {**dict(self.encoder.named_parameters()), **super().trainable()}

    def added_parameters(self) -> int:
        """P x layers x 2 x width of the keys; with a projection, its weights."""
        return sum(parameter.numel() for parameter in self.trainable().values())

    def rows(self) -> Tensor:
        """Return the prefix as peft lays it out: [P, layers x 2 x heads x head size], keys before values."""
        rows: Tensor = self.encoder(torch.arange(self.virtual_tokens, device=self.base.device)[None])[0]
        return rows

    def keys_and_values(self) -> KeysAndValues:
        """Return the prefix as the network's layers take it."""
        rows = self.rows().to(self.network.dtype)
        parts = rows.view(self.virtual_tokens, 2 * self._layers, self._heads, self._head_size).permute(1, 2, 0, 3)
        return [(parts[2 * layer][None], parts[2 * layer + 1][None]) for layer in range(self._layers)]

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits behind the prefix."""
        prefix = self.keys_and_values() if self._prefix is None else self._prefix
        return self.pathway.logits(batch, prefix=prefix)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Compute the prefix once for a whole split."""
        with torch.no_grad():
            self._prefix = self.keys_and_values()
        try:
            yield
        finally:
            self._prefix = None

    def save(self, folder: Path) -> None:
        """Write PEFT's files, which hold the prefix itself, and beside them the projection if there is one."""
        with torch.no_grad():
            save_prompt(folder, self._config(inference=True), self.rows(), self.base)
        if self._method.projection:
            file = folder / ENCODER_WEIGHTS
            file.parent.mkdir(exist_ok=True)
            save_file({name: p.detach().cpu().contiguous() for name, p in self.encoder.state_dict().items()}, file)

    def load(self, folder: Path) -> None:
        """Read back what `save` wrote, in place.

        Raises:
            ValueError: the projection does not yield the prefix that lies beside it.
        """
        saved = load_prompt(folder, self.base)
        if not self._method.projection:
            self.encoder.load_state_dict({"embedding.weight": saved})
            return
        self.encoder.load_state_dict(load_file(folder / ENCODER_WEIGHTS))
        with torch.no_grad():
            if not torch.allclose(self.rows().cpu(), saved, rtol=1e-3, atol=1e-4):
                raise ValueError(f"{folder}: the prefix and the projection that yields it do not belong together")

    def _begin_with(self, text: str) -> None:
        """Set the prefix to the keys and values of a text, as the model computes them."""
        ids = repeated(text_tokens(self.base, text, self._method.init_special_tokens), self.virtual_tokens)
        with torch.no_grad():
            embedded = self.network.get_input_embeddings()(torch.tensor(ids, device=self.base.device))
            parts = torch.cat([part for pair in prefix_of(self.network, embedded) for part in pair])
            self.encoder.embedding.weight.copy_(parts.permute(2, 0, 1, 3).reshape(self.virtual_tokens, -1))  # type: ignore[union-attr,operator]

    def _config(self, inference: bool) -> PrefixTuningConfig:
        from peft import PrefixTuningConfig

        settings = prompt_settings(self.base, self.virtual_tokens, self._heads * self._head_size)
        settings |= {"num_attention_heads": self._heads, "num_layers": self._layers, "inference_mode": inference}
        return PrefixTuningConfig(
            **settings,
            prefix_projection=self._method.projection,
            encoder_hidden_size=self._method.hidden_size,
            init_weights="zero" if self._method.init == "zero" else None,
        )


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
