"""AdaLoRA's adapter: ranks that are taken away during training, by peft's own allocator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.methods.tuned.peft_method import PeftAdapter

if TYPE_CHECKING:
    from peft import PeftConfig

    from bench.models.language_model import LanguageModel


class AdaLoraAdapter(PeftAdapter):
    """A base model with peft's AdaLoRA layers.

    Args:
        base: the frozen base model.
        config: the adapter, as peft describes it; its steps are set when training begins.
        seed: seeds the initial weights.
        warmup_share: share of the steps before the first rank is taken away.
        final_share: share of the steps after the last.
    """

    def __init__(
        self, base: LanguageModel, config: PeftConfig, seed: int, warmup_share: float, final_share: float
    ) -> None:
        super().__init__(base, config, seed)
        for name, parameter in self.network.named_parameters():
            if ".ranknum." in name:  # a constant, which peft makes trainable when it moves it to another device
                parameter.requires_grad_(False)
        self._warmup_share, self._final_share = warmup_share, final_share
        self._config: Any = self.adapted.peft_config["default"]
        self._allocates = False

    def before_training(self, steps: int) -> None:
        """Lay the three phases over the steps."""
        self._config.total_step = steps
        self._config.tinit = int(steps * self._warmup_share)
        self._config.tfinal = int(steps * self._final_share)
        # The allocator weighs ranks by their gradients in the steps before.
        self._allocates = steps - self._config.tfinal > max(1, self._config.tinit)

    def penalty(self) -> Tensor | None:
        """Return what keeps the factors orthogonal (section 3.1), the mean over all factors as in peft."""
        if not self._config.orth_reg_weight:
            return None
        gaps = []
        for name, factor in self.trainable().items():
            if ".lora_A." in name or ".lora_B." in name:
                product = factor @ factor.T if ".lora_A." in name else factor.T @ factor
                gaps.append(torch.linalg.norm(product - torch.eye(len(product), device=product.device)))
        weighted: Tensor = self._config.orth_reg_weight * torch.stack(gaps).mean()
        return weighted

    def after_step(self, step: int) -> None:
        """Weigh the ranks by their gradients, and take away those that matter least."""
        if self._allocates:
            self.adapted.base_model.update_and_allocate(step)

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's format, without the ranks that have been taken away."""
        pattern = self._config.rank_pattern
        if not self._gone():
            self._config.rank_pattern = None
        try:
            super().save(folder)
        finally:
            self._config.rank_pattern = self._config.rank_pattern or pattern

    def load(self, folder: Path) -> None:
        """Read an adapter back, in place; ranks that were taken away are zero again.

        Raises:
            ValueError: the file holds another adapter.
        """
        saved = load_file(folder / "adapter_model.safetensors")
        pattern = json.loads((folder / "adapter_config.json").read_text())["rank_pattern"] or {}
        with torch.no_grad():
            for name, parameter in self.trainable().items():
                key = f"base_model.model.{name.replace('.modules_to_save', '').replace('.default', '')}"
                if key not in saved:
                    raise ValueError(f"{folder}: the saved adapter is another one; {key} is missing")
                kept = _kept(pattern, name, parameter)
                if ".lora_E." in name:
                    parameter.zero_()
                # A view with the ranks first: columns of B, rows of the others.
                ranks, values = (p.T if ".lora_B." in name else p for p in (parameter, saved.pop(key).to(parameter)))
                if ranks[kept].shape != values.shape:
                    raise ValueError(f"{folder}: the saved adapter is another one; {key} has another shape")
                ranks[kept] = values
        if saved:
            raise ValueError(f"{folder}: the saved adapter is another one; {next(iter(saved))} is unknown")
        self._config.rank_pattern = pattern or None

    def measurements(self) -> dict[str, float]:
        """Return the mean rank that is left."""
        values = [p for name, p in self.trainable().items() if ".lora_E." in name]
        return {"mean_rank": sum(int(p.count_nonzero()) for p in values) / len(values)}

    def _gone(self) -> bool:
        """Whether all that the pattern leaves out is zero; between two allocations it may have grown again."""
        pattern = self._config.rank_pattern or {}
        return all(not p[~_kept(pattern, name, p)].any() for name, p in self.trainable().items() if ".lora_E." in name)


def _kept(pattern: dict[str, list[bool]], name: str, parameter: Tensor) -> Tensor:
    """Return which ranks of a factor a pattern leaves, bool [r]; peft names them with or without the adapter."""
    key = name.replace(".lora_A.", ".lora_E.").replace(".lora_B.", ".lora_E.")
    ranks = parameter.shape[1 if ".lora_B." in name else 0]
    found = pattern.get(key, pattern.get(key.replace(".default", ""), [True] * ranks))
    return torch.tensor(found, device=parameter.device)
