"""promptscale: which way of adapting a frozen language model is best, at which size, and at what cost?

The public face: `run` and `load_results`, and the packages `methods`, `datasets`, `models` and `metrics`. Each of
these holds its registry, of the same name (`bench.methods.methods`), and what a plug-in derives from
(`bench.methods.Method`). Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_FUNCTIONS = {"run": "bench.api", "load_results": "bench.reporting.frame"}
_PACKAGES = ("datasets", "methods", "metrics", "models")

__all__ = ["__version__", "datasets", "load_results", "methods", "metrics", "models", "run"]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"bench.{name}")
    if name not in _FUNCTIONS:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(importlib.import_module(_FUNCTIONS[name]), name)
