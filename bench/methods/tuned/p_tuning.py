"""Input embeddings that a small network yields, by peft's own network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.methods.tuned.prompt_tuning import Prompted, load_prompt, prompt_settings, save_prompt

if TYPE_CHECKING:
    from peft import PromptEncoderConfig

    from bench.methods.p_tuning import PTuning
    from bench.models.base import LanguageModel

ENCODER_WEIGHTS = Path("encoder", "prompt_encoder.safetensors")
"""Where the network itself is saved: peft keeps only what it yields, from which training cannot go on."""


class EncodedPrompt(Prompted):
    """A frozen model behind the embeddings that a trained network yields, in float32.

    Args:
        base: the frozen base model.
        method: sizes of the network.
        seed: seeds its weights.
    """

    def __init__(self, base: LanguageModel, method: PTuning, seed: int) -> None:
        from peft import PromptEncoder

        super().__init__(base, method.num_virtual_tokens)
        self._method = method
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder: nn.Module = PromptEncoder(self._config(inference=False))
        self.encoder.to(base.device)

    @property
    def prompt(self) -> Tensor:
        """The embeddings [P, E] that the network yields."""
        rows: Tensor = self.encoder(torch.arange(self.virtual_tokens, device=self.base.device)[None])[0]
        return rows

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the network's weights, the embeddings at its entrance among them, and an encoder's head."""
        return {**dict(self.encoder.named_parameters()), **super().trainable()}

    def train(self, mode: bool) -> None:
        """Switch the dropout of model and network."""
        super().train(mode)
        self.encoder.train(mode)

    def save(self, folder: Path) -> None:
        """Write PEFT's files, which hold what the network yields, and beside them the network itself.

        ``PeftModel.from_pretrained`` reads the former. Training goes on from the latter, here by `load`, or in peft
        by ``get_peft_model`` with ``inference_mode = False`` in the saved configuration, and
        ``model.prompt_encoder["default"].load_state_dict``.
        """
        was = self.encoder.training
        with torch.no_grad():
            self.encoder.eval()
            save_prompt(folder, self._config(inference=True), self.prompt, self.base)
        self.encoder.train(was)
        file = folder / ENCODER_WEIGHTS
        file.parent.mkdir(exist_ok=True)
        save_file({name: p.detach().cpu().contiguous() for name, p in self.encoder.state_dict().items()}, file)

    def load(self, folder: Path) -> None:
        """Read the network back, in place.

        Raises:
            ValueError: the network does not yield the prompt that lies beside it.
        """
        saved = load_prompt(folder, self.base)
        self.encoder.load_state_dict(load_file(folder / ENCODER_WEIGHTS))
        self.encoder.eval()
        with torch.no_grad():
            if not torch.allclose(self.prompt.cpu(), saved, rtol=1e-3, atol=1e-4):
                raise ValueError(f"{folder}: the prompt and the network that yields it do not belong together")

    def _config(self, inference: bool) -> PromptEncoderConfig:
        from peft import PromptEncoderConfig

        method = self._method
        width = self.network.get_input_embeddings()(torch.zeros(1, dtype=torch.long, device=self.base.device)).shape[1]
        return PromptEncoderConfig(
            **prompt_settings(self.base, method.num_virtual_tokens, width) | {"inference_mode": inference},
            encoder_reparameterization_type=method.encoder.upper(),
            encoder_hidden_size=method.hidden_size,
            encoder_num_layers=method.lstm_layers if method.encoder == "lstm" else 2,
            encoder_dropout=method.lstm_dropout,
        )
