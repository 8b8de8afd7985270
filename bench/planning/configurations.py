"""Configurations of published models, which ship with the package: facts, so that counting needs no network.

One JSON file a model in ``configurations/``: its id on the hub, its licence, the parameters that its page
states, and the fields of its configuration that decide the shape of the network.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from bench.core.config import Config


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
