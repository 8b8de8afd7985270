"""Configurations: those of published models, which ship with the package, and what a configuration says of its model.

They are facts, so that counting needs no network: one JSON file a model in ``configurations/`` with its id on the hub,
its licence, the parameters that its page states, and the fields that decide the shape of the network.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from bench.core.config import Config
from bench.core.errors import BadInput


class Published(Config):
    """A published model: what its page on the hub says of it."""

    name: str
    id: str
    """Id on the hub, whose ``config.json`` the fields of `config` were taken from."""
    license: str
    """Of the model's weights; none of them ship with the package."""
    parameters: int
    """All parameters, tied weights once, as the source states them, of an encoder those without a head over classes;
    the tests count them again."""
    config: dict[str, Any]
    """Fields of the configuration that are not the defaults of its ``model_type``."""


@cache
def published() -> dict[str, Published]:
    """Return the published models by name."""
    found = {}
    for file in (files("bench.planning") / "configurations").iterdir():
        if file.name.endswith(".json"):
            name = file.name.removesuffix(".json")
            found[name] = Published(name=name, **json.loads(file.read_text(encoding="utf-8")))
    return dict(sorted(found.items()))


def find(name: str) -> Published | None:
    """Return the published model of a name or a hub id, in any case; None if it is not among those that ship."""
    wanted = name.lower()
    return next((model for model in published().values() if wanted in (model.name, model.id.lower())), None)


def vocabulary(fields: Mapping[str, Any]) -> int:
    """Return the tokens of a model's vocabulary."""
    return int(of_fields(fields).get_text_config().vocab_size)


def depth(fields: Mapping[str, Any]) -> int:
    """Return the layers of a model; of an encoder-decoder those of one half."""
    return int(of_fields(fields).get_text_config().num_hidden_layers)


def cycle(fields: Mapping[str, Any]) -> int | None:
    """Return after how many layers their kinds repeat (1: all alike); None if an encoder-decoder's halves differ."""
    config = of_fields(fields)
    every = depth(fields)
    halves = [getattr(config, name, every) for name in ("num_decoder_layers", "encoder_layers", "decoder_layers")]
    if any(layers not in (None, every) for layers in halves):
        return None
    kinds = list(getattr(config, "layer_types", None) or [0] * every)
    return next(n for n in range(1, every + 1) if all(kind == kinds[i % n] for i, kind in enumerate(kinds)))


def with_layers(fields: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """Return a configuration with another number of layers, in both halves of an encoder-decoder."""
    config = of_fields(fields)
    changed = dict(fields)
    names = {config.attribute_map.get("num_hidden_layers", "num_hidden_layers")}
    names |= {name for name in ("num_decoder_layers", "encoder_layers", "decoder_layers") if hasattr(config, name)}
    changed.update(dict.fromkeys(names, layers))
    if kinds := getattr(config, "layer_types", None):
        changed["layer_types"] = list(kinds)[:layers]
    return changed


def of_fields(fields: Mapping[str, Any]) -> PreTrainedConfig:
    """Return transformers' configuration of the fields of a ``config.json``, which it may change."""
    try:
        return AutoConfig.for_model(**copy.deepcopy(dict(fields)))
    except (TypeError, ValueError) as error:  # transformers lists all that it knows
        kind = fields.get("model_type")
        raise BadInput(f"config.json: transformers makes nothing of model_type {kind!r}: {str(error)[:60]}") from None
