"""The contracts of a method and of an engine as tests, for authors of plug-ins, and tiny models to test on.

Three lines of a test file hold a method, or an engine, to its contract::

    class TestMine(MethodContract):
        method = Mine()

They need pytest (``pip install 'promptscale[test]'``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.testing.contract import MethodContract
    from bench.testing.engine import EngineContract

__all__ = ["EngineContract", "MethodContract"]

_HOMES = {"MethodContract": "bench.testing.contract", "EngineContract": "bench.testing.engine"}


def __getattr__(name: str) -> Any:
    # On demand: workers of an engine under test import `bench.testing.scripted`, which needs neither torch nor pytest.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite(_HOMES[name])  # so that a broken contract says what was found
    return getattr(importlib.import_module(_HOMES[name]), name)
