"""A model that can be trained without its weights: fake tensors, which have a shape, a type and a device, no values.

The index tensors of a batch stay real, so layouts and masks are those of a real step; what the step computes is not.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from bench.core.config import canonical_json
from bench.core.errors import Infeasible
from bench.datasets.splits import Splits
from bench.forward.pathway import Pathway
from bench.methods.attaching import attach
from bench.methods.base import Method, TunedModel
from bench.models.conversion import quiet
from bench.models.kinds import Kind
from bench.models.language_model import LanguageModel
from bench.planning.weightless import ReadsAsZero

_TINY = {
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "word_embed_proj_dim": 32, "intermediate_size": 48, "ffn_dim": 48,
    "n_inner": 48, "head_dim": 8, "vocab_size": 128, "num_attention_heads": 4, "n_head": 4, "num_hidden_layers": 2,
    "n_layer": 2, "pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
"""Sizes of a copy of a decoder that is small enough to be run; names as families have them."""


class _ReadsFakesAsZero(TorchDispatchMode):
    """Answers what has no answer without values: a number that is read is 0, two tensors of one shape are equal."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], FakeTensor):
            if func is torch.ops.aten._local_scalar_dense.default:
                return False if args[0].dtype == torch.bool else 0 if not args[0].dtype.is_floating_point else 0.0
            if func is torch.ops.aten.equal.default:
                return True
            if func is torch.ops.aten.index.Tensor:  # how many places a mask has is known: masks are real
                args = (args[0], _places(args[1]))
        return func(*args, **(kwargs or {}))


def _places(indices: Any) -> list[Any]:
    """Return the indices of an indexing without masks."""
    places: list[Any] = []
    for index in indices:
        is_mask = index is not None and index.dtype == torch.bool and not isinstance(index, FakeTensor)
        places += index.nonzero().unbind(1) if is_mask else [index]
    return places


@contextmanager
def read_as_zero() -> Iterator[None]:
    """Let code that reads the values of fake tensors go on."""
    with _ReadsFakesAsZero():  # type: ignore[no-untyped-call]
        yield


def attach_fake(method: Method, base: LanguageModel, splits: Splits, seed: int = 0) -> TunedModel:
    """Return a model on the meta device with a method attached, turned into fake CPU tensors.

    Args:
        method: the method, configured.
        base: from `bench.planning.weightless.built`, in the precision of its weights.
        splits: what the method may look at.
        seed: seeds nothing that has a value.

    Raises:
        BadInput: the method keeps tensors where they are not found.
        Infeasible: this model cannot run this configuration.
    """
    pathway = _pathway(base.network)
    with ReadsAsZero():  # type: ignore[no-untyped-call]
        tuned = attach(method, base, splits, seed)
    modules = [base.network, *(value for value in vars(tuned).values() if isinstance(value, nn.Module))]
    tensors = {id(t): t for module in modules for t in (*module.parameters(), *module.buffers())}
    tensors |= {id(t): t for t in tuned.trainable().values()}
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    for tensor in tensors.values():
        fake = FakeTensor(mode, torch.empty_like(tensor, device="meta"), torch.device("cpu"))
        fake.requires_grad_(tensor.requires_grad)
        fake._is_param = isinstance(tensor, nn.Parameter)
        torch.utils.swap_tensors(tensor, fake)
    tuned.__dict__["pathway"] = replace(pathway, network=tuned.network)  # it cannot be tried without values
    return tuned


def depth(fields: Mapping[str, Any]) -> int:
    """Return the layers of a model; of an encoder-decoder those of one half."""
    return int(_config(fields).get_text_config().num_hidden_layers)


def cycle(fields: Mapping[str, Any]) -> int | None:
    """Return after how many layers their kinds repeat (1: all alike); None if an encoder-decoder's halves differ."""
    config = _config(fields)
    every = depth(fields)
    halves = [getattr(config, name, every) for name in ("num_decoder_layers", "encoder_layers", "decoder_layers")]
    if any(layers not in (None, every) for layers in halves):
        return None
    kinds = list(getattr(config, "layer_types", None) or [0] * every)
    return next(n for n in range(1, every + 1) if all(kind == kinds[i % n] for i, kind in enumerate(kinds)))


def with_layers(fields: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """Return a configuration with another number of layers, in both halves of an encoder-decoder."""
    config = _config(fields)
    changed = dict(fields)
    names = {config.attribute_map.get("num_hidden_layers", "num_hidden_layers")}
    names |= {name for name in ("num_decoder_layers", "encoder_layers", "decoder_layers") if hasattr(config, name)}
    changed.update(dict.fromkeys(names, layers))
    if kinds := getattr(config, "layer_types", None):
        changed["layer_types"] = list(kinds)[:layers]
    return changed


def _config(fields: Mapping[str, Any]) -> PreTrainedConfig:
    return AutoConfig.for_model(**copy.deepcopy(dict(fields)))


def _pathway(network: PreTrainedModel) -> Pathway:
    """Return the way that a network goes: that of a tiny copy with values of its own, for it is found by trying."""
    if network.get_output_embeddings() is None:
        return Pathway(network, "classes")
    found = _tiny_pathway(canonical_json(_tiny(network.config.to_dict())))
    return Pathway(network, "padded") if found is None else replace(found, network=network)


def _tiny(given: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a tiny copy, which all sizes of a family share."""
    small = with_layers(given, 2) | {name: size for name, size in _TINY.items() if name in given}
    if "num_key_value_heads" in given:
        small["num_key_value_heads"] = 2
    small.pop("torch_dtype", None)
    return small | {"dtype": "float32", "initializer_range": 0.2}


@lru_cache(maxsize=64)
def _tiny_pathway(fields: str) -> Pathway | None:
    """Return the way of the tiny copy; None where none can be made."""
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            config = AutoConfig.for_model(**json.loads(fields))
            network = Kind.of(config).auto_class.from_config(config, dtype=torch.float32)
        return Pathway.of(network.eval().requires_grad_(False))
    except Infeasible:
        raise
    except Exception:  # whatever a family does that is not made to be small
        return None


def vocabulary(fields: Mapping[str, Any]) -> int:
    """Return the tokens of a model's vocabulary."""
    return int(_config(fields).get_text_config().vocab_size)
