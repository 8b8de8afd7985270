"""What stands before every input, as input embeddings or as keys and values; how peft keeps it, and what yields it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.forward.batch import Batch
from bench.forward.decoding import Decoding
from bench.forward.shared_prefix import KeysAndValues
from bench.methods.base import TunedModel

if TYPE_CHECKING:
    from peft.config import PromptLearningConfig

    from bench.models.language_model import LanguageModel

PEFT_WEIGHTS = "adapter_model.safetensors"


class Prefixed(TunedModel):
    """A frozen model behind P positions; subclasses say what their keys and values are.

    Args:
        base: the frozen base model.
        virtual_tokens: P.
    """

    def __init__(self, base: LanguageModel, virtual_tokens: int) -> None:
        super().__init__(base)
        self.virtual_tokens = virtual_tokens
        self._prefix: KeysAndValues | None = None

    def prefix(self) -> KeysAndValues | None:
        """Return the keys and values of the P positions; None where they cannot be computed by themselves."""
        raise NotImplementedError

    def added_parameters(self) -> int:
        """Return how many parameters are trained; an encoder's head is counted here too, as PEFT counts it."""
        return sum(parameter.numel() for parameter in self.trainable().values())

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits behind the P positions."""
        return self.pathway.logits(batch, **self._before())

    def decoding(self, batch: Batch) -> Decoding:
        """Begin the answers behind the P positions."""
        return self.pathway.decoding(batch, **self._before())

    def _before(self) -> dict[str, Any]:
        """Return what the way through the network is told of the P positions."""
        return {"prefix": self.prefix() if self._prefix is None else self._prefix}

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Compute the prefix once for a whole split."""
        with torch.no_grad():
            self._prefix = self.prefix()
        try:
            yield
        finally:
            self._prefix = None


class Prompted(Prefixed):
    """A frozen model behind P input embeddings; subclasses say where they come from."""

    @property
    def prompt(self) -> Tensor:
        """The embeddings [P, E], float32, through which gradients reach what is trained."""
        raise NotImplementedError

    def prefix(self) -> KeysAndValues | None:
        """Return the keys and values of the prompt, where that is exact."""
        return self.pathway.prefix_of(self.prompt)

    def _before(self) -> dict[str, Any]:
        """The prompt is computed once a batch where that is exact."""
        return {"prompt": self.prompt} if self._prefix is None else {"prefix": self._prefix}


class Encoded(Prefixed):
    """A frozen model behind P rows that a trained network of peft's yields, in float32; subclasses say what they are.

    peft keeps only what the network yields, from which training cannot go on: the network is saved beside that. In
    peft, training goes on by ``get_peft_model`` with ``inference_mode = False`` in the saved configuration, and
    ``model.prompt_encoder["default"].load_state_dict``.

    Args:
        base: the frozen base model.
        kind: peft's class of the network.
        config: its configuration.
        seed: seeds its weights.
        file: where it is saved, below the adapter's folder; None for one that is but the rows themselves.
    """

    def __init__(
        self, base: LanguageModel, kind: type[nn.Module], config: PromptLearningConfig, seed: int, file: Path | None
    ) -> None:
        super().__init__(base, config.num_virtual_tokens)
        self._config, self._file = config, file
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = kind(config).to(base.device)

    def rows(self) -> Tensor:
        """Return the rows as peft lays them out, [P, width]."""
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
        """Write PEFT's files, which hold what the network yields, and beside them the network itself."""
        with self._without_dropout():
            self._config.inference_mode = True
            save_rows(folder, self._config, self.rows(), self.base)
        if self._file is not None:
            (folder / self._file).parent.mkdir(exist_ok=True)
            _write(folder / self._file, self.encoder.state_dict())

    def load(self, folder: Path) -> None:
        """Read the network back, in place.

        Raises:
            ValueError: it does not yield what lies beside it.
        """
        saved = load_rows(folder, self.base)
        if self._file is None:
            self.encoder.load_state_dict({"embedding.weight": saved})
            return
        self.encoder.load_state_dict(load_file(folder / self._file))
        with self._without_dropout():
            if not torch.allclose(self.rows().cpu(), saved, rtol=1e-3, atol=1e-4):
                raise ValueError(f"{folder}: the saved rows and the network that yields them do not belong together")

    @contextmanager
    def _without_dropout(self) -> Iterator[None]:
        was = self.encoder.training
        self.encoder.eval()
        with torch.no_grad():
            yield
        self.encoder.train(was)


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
    }


def save_rows(folder: Path, config: PromptLearningConfig, rows: Tensor, base: LanguageModel) -> None:
    """Write what peft reads: configuration, the rows [P, width], an encoder's head."""
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    _write(folder / PEFT_WEIGHTS, {"prompt_embeddings": rows, **_head(base)})


def load_rows(folder: Path, base: LanguageModel) -> Tensor:
    """Return the [P, width] rows that `save_rows` wrote, and put an encoder's head in place."""
    saved = load_file(folder / PEFT_WEIGHTS)
    for name, parameter in _head(base).items():
        parameter.data.copy_(saved[name])
    return saved["prompt_embeddings"]


def _head(base: LanguageModel) -> dict[str, nn.Parameter]:
    """Return an encoder's head by the names that it has in peft's file."""
    return {f"base_model.{name}": parameter for name, parameter in base.head_parameters().items()}


def _write(file: Path, weights: Mapping[str, Tensor]) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, file)
