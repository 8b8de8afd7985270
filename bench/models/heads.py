"""Classification heads: what an encoder answers with, over the labels of the data set at hand.

A head belongs to a task, not to the base model: it is put on before a method is attached, is trained with whatever
the method trains, and is taken off again by `LanguageModel.release`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

_PEFT_HEADS = ("classifier", "score")
"""Modules whose names end so are trained and saved by peft with any adapter of an encoder."""


@dataclass(frozen=True)
class Head:
    """Where a network's classification head is."""

    paths: tuple[str, ...]
    """The modules that it consists of, all of which are trained."""
    fresh: frozenset[str]
    """Its parameters that begin anew, because their size hangs on the labels or the checkpoint does not have them.
    The others begin as the checkpoint has them."""


def find_head(network: PreTrainedModel, missing: Collection[str]) -> Head:
    """Find the head of a network for sequence classification.

    Args:
        network: from ``AutoModelForSequenceClassification``.
        missing: parameters that its checkpoint does not have (see `may_be_missing`), or has as they were drawn
            (`untrained_poolers`).
    """
    bigger = _without_memory(network, _with_labels(network.config, range((network.config.num_labels or 0) + 1)))
    sizes = {name: parameter.shape for name, parameter in bigger.named_parameters()}
    fresh = {name for name, p in network.named_parameters() if p.shape != sizes[name] or name in missing}
    body = f"{network.base_model_prefix}."
    # Of the body, its pooler alone (`bert.pooler`); beside it, whole modules (`pre_classifier`, `classifier`).
    found = {".".join(name.split(".")[: 2 if name.startswith(body) else 1]) for name in fresh}
    found |= {name for name, _ in network.named_children() if name.endswith(_PEFT_HEADS)}
    return Head(tuple(name for name, _ in network.named_modules() if name in found), frozenset(fresh))


def expected_head(network: PreTrainedModel) -> Head:
    """Find the head of a network whose checkpoint is not at hand: what a masked language model would not have."""
    from transformers import AutoModelForMaskedLM

    with torch.device("meta"):
        masked = AutoModelForMaskedLM.from_config(copy.deepcopy(network.config))
    body, there = f"{network.base_model_prefix}.", {name for name, _ in masked.named_parameters()}
    return find_head(network, [n for n, _ in network.named_parameters() if not n.startswith(body) and n not in there])


def may_be_missing(network: PreTrainedModel, name: str) -> bool:
    """Whether a checkpoint of an encoder may lack a parameter.

    It may lack the head's, and the pooler's, which a masked language model does not train.
    """
    body = f"{network.base_model_prefix}."
    return not name.startswith(body) or name.startswith(f"{body}pooler.")


def untrained_poolers(weights: Mapping[str, Tensor]) -> list[str]:
    """Return the names of poolers' parameters that no training has touched: all biases are zero, as they are drawn.

    Sentence encoders embed by the mean over tokens, and some are saved with a pooler all the same, such as
    all-MiniLM-L6-v2. Frozen between encoder and classifier it would be a random layer, so it is taken as missing.
    """
    zero = [name for name, bias in weights.items() if name.endswith("pooler.dense.bias") and not bias.any()]
    return [name.removesuffix("bias") + kind for name in zero for kind in ("weight", "bias")]


def put_on(network: PreTrainedModel, head: Head, labels: Sequence[str], seed: int) -> Callable[[], None]:
    """Put a head over ``labels`` on an encoder: trainable, in float32, drawn by ``seed`` as its family draws it.

    Returns:
        what puts everything back.
    """
    config = _with_labels(network.config, labels)
    like: Any = _without_memory(network, config)
    own = {path: network.get_submodule(path) for path in head.paths}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for path in head.paths:
            new: nn.Module = like.get_submodule(path).float().to_empty(device="cpu")
            new.apply(like._init_weights)
            for name, parameter in new.named_parameters():
                if f"{path}.{name}" not in head.fresh:
                    parameter.copy_(own[path].get_parameter(name))
            new.to(network.device).eval().requires_grad_(True)
            if network.dtype != torch.float32:
                new.register_forward_pre_hook(_in_float32)
            network.set_submodule(path, new)
    put_back, network.config = network.config, config

    def release() -> None:
        for path, module in own.items():
            network.set_submodule(path, module)
        network.config = put_back

    return release


def _in_float32(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Let a head in float32 take the states of an encoder in another precision."""
    return (args[0].float(), *args[1:])


def _with_labels(config: PreTrainedConfig, labels: Sequence[Any]) -> PreTrainedConfig:
    """Return a copy of a configuration for other labels."""
    config = copy.deepcopy(config)
    config.id2label = {index: str(label) for index, label in enumerate(labels)}
    config.label2id = {str(label): index for index, label in enumerate(labels)}
    return config


def _without_memory(network: PreTrainedModel, config: PreTrainedConfig) -> PreTrainedModel:
    """Return a network of the same class on the meta device: every shape, no value."""
    with torch.device("meta"):
        return type(network)(copy.deepcopy(config))
