"""What every test stands on: one thread, no hub, no colours, and a cache that all tests share."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

# Before anything imports torch or the hub's client; workers and commands of the tests inherit it.
os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", NO_COLOR="1", COLUMNS="120")
os.environ.pop("FORCE_COLOR", None)

# A machine that is busy otherwise makes no test fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Begin with one thread, whatever a trial in this process has set: sums over more have other last bits."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
