"""Any method of the installed peft that changes layers in place, behind our contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

from bench.errors import Infeasible
from bench.methods.base import TunedModel

if TYPE_CHECKING:
    from peft import PeftConfig

    from bench.models.base import LanguageModel


class PeftAdapter(TunedModel):
    """A base model with a peft adapter in its layers.

    peft changes the base model's own modules, so the plain forward of `TunedModel` runs the adapter
    too, and the head still runs on the wanted positions only.
    """

    def __init__(self, base: LanguageModel, config: PeftConfig, seed: int) -> None:
        from peft import get_peft_model

        super().__init__(base)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                self.adapted: Any = get_peft_model(base.network, config)
            except ValueError as error:  # such as target modules that match nothing
                raise Infeasible(f"peft: {error}") from error

    def added_parameters(self) -> int:
        """Return the parameters of the adapter's layers."""
        total: int = sum(p.numel() for p in self.adapted.parameters())
        return total - self.base.parameters

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's format."""
        # Not "auto": that asks the hub whether the embeddings have the base model's size; they always do here.
        self.adapted.save_pretrained(folder, save_embedding_layers=False)

    def load(self, folder: Path) -> None:
        """Read an adapter back, in place."""
        from peft import set_peft_model_state_dict

        found: Any = set_peft_model_state_dict(self.adapted, load_file(folder / "adapter_model.safetensors"))
        trained = {name for name, p in self.adapted.named_parameters() if p.requires_grad}
        gaps = [*trained.intersection(found.missing_keys), *found.unexpected_keys]
        if gaps:
            raise ValueError(f"{folder}: the saved adapter is another one; {gaps[0]} does not match")

    def detach(self) -> None:
        """Take the adapter's layers out and put the base model's own modules back."""
        network = self.adapted.unload()
        for name in ("peft_config", "_hf_peft_config_loaded"):
            network.__dict__.pop(name, None)
        super().detach()
