"""A base model without its weights: built from its configuration on the meta device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.core.errors import BadInput, Unavailable, did_you_mean
from bench.models import models
from bench.models.conversion import quiet
from bench.models.kinds import Kind
from bench.models.language_model import LanguageModel
from bench.models.loading import context_length, count_parameters
from bench.planning.configurations import find, published
from bench.planning.data import HashedWords

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.models.heads import Head


def built(name: str, fields: Mapping[str, Any]) -> LanguageModel:
    """Return a model on the meta device from the fields of its ``config.json``; ``name`` begins messages."""
    from transformers import AutoConfig

    with quiet():
        try:
            config = AutoConfig.for_model(**fields)
            kind = Kind.of(config)
            with torch.device("meta"):
                network = kind.auto_class.from_config(config)
        except (ValueError, TypeError) as error:  # an unknown kind of model, an encoder, a vision model, ...
            raise BadInput(f"{name}: {str(error).splitlines()[0]}") from error
    head, embedding = network.get_output_embeddings(), network.get_input_embeddings()
    if head is not None and fields.get("tie_word_embeddings") is False and head.weight is embedding.weight:
        # transformers 5 makes T5's head one with its embedding, whatever is asked for, until a checkpoint such as
        # T5 v1.1's comes with a head of its own, which is then kept.
        head.weight = torch.nn.Parameter(torch.empty_like(head.weight))
    network.requires_grad_(False)
    network.eval()
    return LanguageModel(
        network=network,
        tokenizer=HashedWords(config.get_text_config().vocab_size),  # type: ignore[arg-type]
        kind=kind,
        parameters=count_parameters(network),
        context_length=context_length(config, network),
        revision="configuration",
        head=None if kind.generates else _head(network, name),
    )


def _folder(name: str) -> Path:
    """Return where a model of the registry is kept; any other name is read as a path."""
    if name not in models or any(field.is_required() for field in models.get(name).model_fields.values()):
        return Path(name).expanduser()
    source = models.build(name, {}, f"model {name}")
    if not source.ready():
        raise Unavailable(f"model {name}: its configuration comes with its weights, which are not here yet")
    return source.folder()


def _head(network: PreTrainedModel, name: str) -> Head:
    """Find an encoder's head: what its weights lack, if they are here; else what a masked language model would lack."""
    from safetensors import safe_open

    from bench.models.heads import expected_head, find_head, untrained_poolers

    try:
        files = sorted(_folder(name).glob("*.safetensors"))
    except Unavailable:
        files = []
    if not files:
        return expected_head(network)
    there: set[str] = set()
    for file in files:
        with safe_open(file, "pt") as weights:
            names = weights.keys()
            there.update(names)
            biases = {name: weights.get_tensor(name) for name in names if name.endswith("pooler.dense.bias")}
            there.difference_update(untrained_poolers(biases))
    body = f"{network.base_model_prefix}."
    needed = (name for name, _ in network.named_parameters())
    return find_head(network, [name for name in needed if not {name, name.removeprefix(body)} & there])


def model_config(name: str) -> dict[str, Any]:
    """Return the configuration of a model as its ``config.json`` has it.

    Args:
        name: a model of `bench.planning.configurations`, a name that ``bench list models`` lists, an id of
            the hub, or a folder with a ``config.json``.

    Raises:
        BadInput: nothing of that name.
        Unavailable: its configuration would have to be fetched, and cannot be.
    """
    from transformers import PreTrainedConfig

    known = find(name)
    if known is not None:
        return known.config
    folder = _folder(name)
    if (folder / "config.json").is_file():
        try:
            return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise BadInput(f"{folder / 'config.json'}: no object in JSON: {error}") from None
    if "/" not in name:
        raise BadInput(
            f"unknown model '{name}'{did_you_mean(name, [*published(), *models.names()])} (one of 'bench list models', "
            "an id of the hub, or a folder with a config.json)"
        )
    try:
        with quiet():
            return dict(PreTrainedConfig.get_config_dict(name)[0])
    except Exception as error:  # which network errors there are differs between releases of the hub client
        raise Unavailable(
            f"model {name}: no configuration of it ships with promptscale, and the hub cannot be asked for it "
            f"({type(error).__name__})"
        ) from error


class ReadsAsZero(TorchDispatchMode):
    """Answers what has no answer without values, on the meta device and of fake tensors.

    A number that is read is 0, two tensors of one shape are equal, and what is copied from the meta device is zeros.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer what the device refuses."""
        kwargs = kwargs or {}
        first: Any = args[0] if args else None
        aten = torch.ops.aten
        is_fake = isinstance(first, FakeTensor)
        on_meta = isinstance(first, torch.Tensor) and first.is_meta and not is_fake
        if (is_fake or on_meta) and func is aten._local_scalar_dense.default:
            return torch.zeros((), dtype=first.dtype, device="cpu").item()
        if (is_fake or on_meta) and func is aten.equal.default:
            return True
        if is_fake and func is aten.index.Tensor:  # how many places a mask has is known: masks are real
            args = (first, _places(args[1]))
        if on_meta and func is aten._to_copy.default and torch.device(kwargs.get("device") or "meta").type != "meta":
            return torch.zeros(first.shape, dtype=kwargs.get("dtype") or first.dtype, device=kwargs["device"])
        if func is aten.copy_.default and not (is_fake or on_meta) and args[1].is_meta:
            return first.zero_()
        return func(*args, **kwargs)


def _places(indices: Any) -> list[Any]:
    """Return the indices of an indexing without masks."""
    places: list[Any] = []
    for index in indices:
        is_mask = index is not None and index.dtype == torch.bool and not isinstance(index, FakeTensor)
        places += index.nonzero().unbind(1) if is_mask else [index]
    return places
