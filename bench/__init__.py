"""promptscale: which way of adapting a frozen language model is best, at which size, and at what cost?

The public face: `run`, `load_results` and the registries `methods`, `datasets`, `models` and
`metrics`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "run": "bench.api",
    "load_results": "bench.reporting",
    "methods": "bench.methods",
    "datasets": "bench.datasets",
    "models": "bench.models",
    "metrics": "bench.metrics",
}

__all__ = ["__version__", "datasets", "load_results", "methods", "metrics", "models", "run"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    # `bench.methods` is a package and a registry: the package wins, and holds the registry `methods`.
    return getattr(module, name) if name in ("run", "load_results") else module
