"""Trained input embeddings before the input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.forward.batch import Batch
from bench.forward.shared_prefix import KeysAndValues
from bench.methods.base import TunedModel

if TYPE_CHECKING:
    from peft.config import PromptLearningConfig

    from bench.models.base import LanguageModel

PROMPT_WEIGHTS = "adapter_model.safetensors"


class Prompted(TunedModel):
    """A frozen model behind P input embeddings; subclasses say where they come from.

    Args:
        base: the frozen base model.
        virtual_tokens: P.
    """

    def __init__(self, base: LanguageModel, virtual_tokens: int) -> None:
        super().__init__(base)
        self.virtual_tokens = virtual_tokens
        self._prefix: KeysAndValues | None = None

    @property
    def prompt(self) -> Tensor:
        """The embeddings [P, E], float32, through which gradients reach what is trained."""
        raise NotImplementedError

    def added_parameters(self) -> int:
        """Return how many parameters yield the prompt."""
        return sum(parameter.numel() for parameter in self.trainable().values())

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits behind the prompt, which is computed once a batch where that is exact."""
        if self._prefix is not None:
            return self.pathway.logits(batch, prefix=self._prefix)
        return self.pathway.logits(batch, prompt=self.prompt)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Compute the prefix once for a whole split."""
        with torch.no_grad():
            self._prefix = self.pathway.prefix_of(self.prompt)
        try:
            yield
        finally:
            self._prefix = None


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

        config = PromptTuningConfig(**prompt_settings(self.base, *self.prompt.shape))
        save_prompt(folder, config, self.prompt, self.base)

    def load(self, folder: Path) -> None:
        """Read a prompt back, in place."""
        saved = load_prompt(folder, self.base)
        with torch.no_grad():
            self.prompt.copy_(saved)


def prompt_settings(base: LanguageModel, virtual_tokens: int, width: int) -> dict[str, Any]:
    """Return what all of peft's prompt configurations share, for ``virtual_tokens`` rows of ``width`` numbers."""
    config = base.network.config
    head = {"modules_to_save": list(base.head.paths)} if base.head is not None else {}
    return head | {
        "task_type": base.kind.task_type,
        "base_model_name_or_path": config.name_or_path,
        "num_virtual_tokens": virtual_tokens,
        "token_dim": width,
        # PEFT doubles the prompt of an encoder-decoder by default; half of it never gets a gradient.
        "num_transformer_submodules": 1,
        "num_attention_heads": getattr(config, "num_attention_heads", None),
        "num_layers": getattr(config, "num_hidden_layers", None),
        "inference_mode": True,
    }


def save_prompt(folder: Path, config: PromptLearningConfig, rows: Tensor, base: LanguageModel) -> None:
    """Write a prompt as peft reads it: configuration, what the prompt comes to, [P, width], an encoder's head."""
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    weights = {"prompt_embeddings": rows, **_head(base)}
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, folder / PROMPT_WEIGHTS)


def load_prompt(folder: Path, base: LanguageModel) -> Tensor:
    """Return the [P, width] rows that `save_prompt` wrote, and put an encoder's head in place."""
    saved = load_file(folder / PROMPT_WEIGHTS)
    with torch.no_grad():
        for name, parameter in _head(base).items():
            parameter.copy_(saved[name])
    return saved["prompt_embeddings"]


def _head(base: LanguageModel) -> dict[str, nn.Parameter]:
    """Return an encoder's head by the names that it has in peft's file."""
    return {f"base_model.{name}": parameter for name, parameter in base.head_parameters().items()}
