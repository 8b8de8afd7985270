"""A model that can be trained without its weights: fake tensors, which have a shape, a type and a device, no values.

The index tensors of a batch stay real, so layouts and masks are those of a real step; what the step computes is not.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from transformers import AutoConfig, PreTrainedModel

from bench.core.config import canonical_json
from bench.core.errors import Infeasible
from bench.datasets.splits import Splits
from bench.forward.pathway import Pathway
from bench.methods.attaching import attach
from bench.methods.base import Method, TunedModel
from bench.models.conversion import quiet
from bench.models.kinds import Kind
from bench.models.language_model import LanguageModel
from bench.planning.configurations import with_layers
from bench.planning.weightless import ReadsAsZero

_TINY = {
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "word_embed_proj_dim": 32, "intermediate_size": 48, "ffn_dim": 48,
    "n_inner": 48, "head_dim": 8, "vocab_size": 128, "num_attention_heads": 4, "n_head": 4, "num_hidden_layers": 2,
    "n_layer": 2, "pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
"""Sizes of a copy of a decoder that is small enough to be run; names as families have them."""


def attach_fake(method: Method, base: LanguageModel, splits: Splits, seed: int) -> TunedModel:
    """Attach a method to a model on the meta device, in the precision of its weights; all turn into fake CPU tensors.

    Raises:
        BadInput: the method keeps tensors where they are not found.
        Infeasible: this model cannot run this configuration.
    """
    pathway = _pathway(base.network)
    with ReadsAsZero():
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
