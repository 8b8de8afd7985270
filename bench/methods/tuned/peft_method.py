"""Any method of the installed peft that changes layers in place, behind our contract."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import nn

from bench.core.errors import Infeasible, one_line
from bench.forward.counting import weights_in
from bench.methods.base import TunedModel

if TYPE_CHECKING:
    from peft import PeftConfig

    from bench.models.language_model import LanguageModel


class PeftAdapter(TunedModel):
    """A base model with a peft adapter in its layers.

    peft changes the base model's own modules, so the plain forward of `TunedModel` runs the adapter
    too, and the head still runs on the wanted positions only.

    Args:
        base: the frozen base model.
        config: the adapter, as peft describes it.
        seed: seeds its initial weights.

    Raises:
        Infeasible: this model has no layers for this adapter.
    """

    def __init__(self, base: LanguageModel, config: PeftConfig, seed: int) -> None:
        from peft import get_peft_model

        super().__init__(base)
        self._before = _Layers(base.network)
        self._head = {path: base.network.get_submodule(path) for path in (base.head.paths if base.head else ())}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                with advice_silenced():
                    self.adapted: Any = get_peft_model(base.network, config)
            except Exception as error:  # peft raises what it likes where a model does not suit a configuration
                self._before.restore()
                super().detach()
                if isinstance(error, torch.OutOfMemoryError | MemoryError):
                    raise
                text = one_line(error)
                raise Infeasible(f"peft: {type(config).__name__} does not suit this model: {text}") from error
        for parameter in self.adapted.parameters():  # peft leaves copies of the model's own layers in its precision
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        outside = sum(p.numel() for p in self.adapted.parameters() if p.requires_grad)
        outside -= sum(p.numel() for p in self.trainable().values())
        if outside or not self.trainable():
            self.detach()
            what = "has trainable weights beside the base model's layers" if outside else "has nothing to train here"
            raise Infeasible(f"peft: {type(config).__name__} {what}, which this adapter cannot run")

    def added_parameters(self) -> int:
        """Return the parameters of the adapter's layers."""
        return sum(map(weights_in, self.adapted.parameters())) - self.base.parameters

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's format."""
        # Not "auto": that asks the hub whether the embeddings have the base model's size; they always do here.
        self.adapted.save_pretrained(folder, save_embedding_layers=False)

    def load(self, folder: Path) -> None:
        """Read an adapter back, in place.

        Raises:
            ValueError: the file holds another adapter.
        """
        from peft import set_peft_model_state_dict

        weights = load_file(folder / "adapter_model.safetensors")
        with advice_silenced():
            found: Any = set_peft_model_state_dict(self.adapted, weights)
        trained = {name for name, p in self.adapted.named_parameters() if p.requires_grad}
        gaps = [*trained.intersection(found.missing_keys), *found.unexpected_keys]
        if gaps:
            raise ValueError(f"{folder}: the saved adapter is another one; {gaps[0]} does not match")

    def detach(self) -> None:
        """Take the adapter's layers out and put the base model's own modules back."""
        for path, module in self._head.items():  # peft trains a copy; its own way back fails at heads of two layers
            self.network.set_submodule(path, module)
        # Of a quantised model IA3 takes nothing out; the modules are put back below in any case.
        if hasattr(self.adapted.base_model, "unload") and not getattr(self.network, "is_quantized", False):
            self.adapted.unload()
        self._before.restore()
        super().detach()


class _Layers:
    """The modules of a network as they were, to be put back; peft replaces modules and may stop half-way."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._children = [(module, dict(module._modules)) for module in network.modules()]
        self._attributes = set(vars(network))

    def restore(self) -> None:
        for module, children in self._children:
            module._modules.clear()
            module._modules.update(children)
        for name in set(vars(self._network)) - self._attributes:
            if name.startswith(("peft_", "_hf_peft")):
                delattr(self._network, name)


@contextmanager
def advice_silenced() -> Iterator[None]:
    """Keep off the screen what peft says to programmers, not to users of a benchmark."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", message=".*fan_in_fan_out")  # peft corrects it by itself
        warnings.filterwarnings("ignore", message="Specified to not (save|load) vera_A")  # it was asked for
        warnings.filterwarnings("ignore", message="Unsupported layer type")  # RMSNorm: its weights are trained like any
        yield
