"""P-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bench.core.config import Alias
from bench.core.distributions import Choice, Float, Int, SearchSpace
from bench.methods.base import Method, TunedModel

if TYPE_CHECKING:
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel

PEFT_ENCODER = Alias("encoder_reparameterization_type", {"MLP": {"encoder": "mlp"}, "LSTM": {"encoder": "lstm"}})


class PTuning(Method):
    """P-tuning: input embeddings that a small trained network yields, an MLP or an LSTM (Liu et al., 2021)."""

    title = "P-tuning"
    citation = "Liu et al.: GPT Understands, Too. 2021. arXiv:2103.10385"
    training_defaults = {"learning_rate": 3e-3}
    when_to_use = (
        "As prompt tuning, where training the rows directly does not get off the ground. The network is needed "
        "for training alone: a task is kept as the P rows that it yields."
    )
    traps = (
        "Its trainable parameters are the network's, and say nothing of what is kept: the saved prompt has P "
        "rows, whatever hidden_size is.",
        "PEFT ignores encoder_num_layers for an MLP, which has three layers there and here; lstm_layers is for "
        "the LSTM.",
        "The network drops out of the saved prompt in PEFT's format. To train on, keep the folder's encoder/ too.",
    )

    num_virtual_tokens: int = Field(20, gt=0)
    """P, the number of virtual tokens."""
    encoder: Annotated[Literal["mlp", "lstm"], PEFT_ENCODER] = "mlp"
    """The network: an MLP of three layers, or a bidirectional LSTM followed by one of two."""
    hidden_size: Annotated[int, Alias("encoder_hidden_size")] = Field(128, gt=0)
    """Width of the network's hidden layers."""
    lstm_layers: Annotated[int, Alias("encoder_num_layers")] = Field(2, gt=0)
    """Layers of the LSTM."""
    lstm_dropout: Annotated[float, Alias("encoder_dropout")] = Field(0.0, ge=0, lt=1)
    """Dropout between the layers of the LSTM."""

    def search_space(self) -> SearchSpace:
        """Learning rate, P and the hidden size."""
        return {
            "learning_rate": Float(low=3e-4, high=3e-2, log=True),
            "num_virtual_tokens": Int(low=5, high=100, log=True),
            "hidden_size": Choice(choices=(64, 128, 256, 512)),
        }

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Put the network's embeddings before the model's input."""
        from bench.methods.tuned.p_tuning import EncodedPrompt

        sizes = {
            "encoder_reparameterization_type": self.encoder.upper(),
            "encoder_hidden_size": self.hidden_size,
            "encoder_num_layers": self.lstm_layers if self.encoder == "lstm" else 2,
            "encoder_dropout": self.lstm_dropout,
        }
        return EncodedPrompt(base, self.num_virtual_tokens, sizes, seed)
