"""A trained prompt of input embeddings, and the ways to begin one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.errors import Infeasible
from bench.methods.base import Batch, TunedModel
from bench.methods.forward import prompted_logits
from bench.methods.packed import can_pack, fits, packed_logits
from bench.methods.shared_prefix import KeysAndValues, can_share, prefix_of, shared_prefix_logits

if TYPE_CHECKING:
    from bench.methods.prompt_tuning import PromptTuning
    from bench.models.base import LanguageModel

FREQUENT_TOKENS = 5000
"""Lester et al. draw from the 5,000 most common tokens; vocabularies are sorted by frequency."""


class SoftPrompt(TunedModel):
    """A frozen model behind P trainable input embeddings, kept in float32.

    Args:
        base: the frozen base model.
        prompt: [P, E] initial embeddings.
    """

    def __init__(self, base: LanguageModel, prompt: Tensor) -> None:
        super().__init__(base)
        self.prompt = nn.Parameter(prompt.detach().to(base.device, torch.float32).clone())
        self.virtual_tokens = prompt.shape[0]
        self.shared = can_share(base.network)
        self.packed = can_pack(base.network)
        self._prefix: KeysAndValues | None = None

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the prompt."""
        return {"prompt_embeddings": self.prompt}

    def added_parameters(self) -> int:
        """P x E."""
        return self.prompt.numel()

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits behind the prompt, which is computed once a batch where that is exact."""
        if not self.shared:
            return prompted_logits(self.network, self.prompt, batch)
        if self._prefix is None and self.packed and fits(self.network, self.virtual_tokens, batch):
            return packed_logits(self.network, self.prompt, batch)
        prefix = self._prefix if self._prefix is not None else prefix_of(self.network, self.prompt)
        return shared_prefix_logits(self.network, prefix, batch)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Compute the prefix once for a whole split."""
        if self.shared:
            with torch.no_grad():
                self._prefix = prefix_of(self.network, self.prompt)
        try:
            yield
        finally:
            self._prefix = None

    def save(self, folder: Path) -> None:
        """Write PEFT's ``adapter_config.json`` and ``adapter_model.safetensors``."""
        from peft import PromptTuningConfig

        folder.mkdir(parents=True, exist_ok=True)
        config = self.network.config
        seq2seq = self.base.kind == "seq2seq"
        PromptTuningConfig(
            task_type="SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM",
            base_model_name_or_path=config.name_or_path,
            num_virtual_tokens=self.virtual_tokens,
            token_dim=self.prompt.shape[1],
            # PEFT doubles the prompt of an encoder-decoder by default; half of it never gets a gradient.
            num_transformer_submodules=1,
            num_attention_heads=getattr(config, "num_attention_heads", None),
            num_layers=getattr(config, "num_hidden_layers", None),
            inference_mode=True,
        ).save_pretrained(str(folder))
        save_file({"prompt_embeddings": self.prompt.detach().cpu()}, folder / "adapter_model.safetensors")

    def load(self, folder: Path) -> None:
        """Read a prompt back, in place."""
        saved = load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]
        with torch.no_grad():
            self.prompt.copy_(saved)

    def notes(self) -> dict[str, str]:
        """Say which way the forward pass takes."""
        if not self.shared:
            return {"prefix": "repeated for every example"}
        return {"prefix": "shared, packed with short batches" if self.packed else "shared"}


def initial_prompt(method: PromptTuning, base: LanguageModel, labels: Sequence[str], seed: int) -> Tensor:
    """Return the initial prompt [P, E], float32, as `PromptTuning.init` says (Lester et al., section 3.2)."""
    length = method.num_virtual_tokens
    embedding = base.network.get_input_embeddings()
    generator = torch.Generator().manual_seed(seed)
    if method.init == "random":
        width = _embed(embedding, [0]).shape[1]
        return torch.rand(length, width, generator=generator) - 0.5
    with torch.no_grad():
        # Through the module, not its weight: some families scale embeddings on the way out.
        if method.init == "text":
            text = method.init_text or f"Answer with one of these words: {', '.join(labels)}."
            return _embed(embedding, _repeat(_tokens(base, text), length))
        drawn = _embed(embedding, _frequent(base, length, generator))
        if method.init == "labels":
            words = [_embed(embedding, _tokens(base, f" {word}")).mean(0) for word in labels[:length]]
            drawn[: len(words)] = torch.stack(words)
        return drawn


def _tokens(base: LanguageModel, text: str) -> list[int]:
    ids: list[int] = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise Infeasible(f"the initial text {text!r} has no tokens in this model's vocabulary")
    return ids


def _embed(embedding: nn.Module, ids: list[int]) -> Tensor:
    device = next(embedding.parameters()).device
    rows: Tensor = embedding(torch.tensor(ids, device=device))
    return rows.detach().float().cpu()


def _repeat(ids: list[int], length: int) -> list[int]:
    return (ids * (length // len(ids) + 1))[:length]


def _frequent(base: LanguageModel, length: int, generator: torch.Generator) -> list[int]:
    """Draw ``length`` different tokens (as far as there are) from the most frequent that are no special tokens."""
    special = set(base.tokenizer.all_special_ids)
    known = [i for i in range(min(len(base.tokenizer), FREQUENT_TOKENS + len(special))) if i not in special]
    order = torch.randperm(len(known), generator=generator).tolist()
    return _repeat([known[i] for i in order], length)
