"""With what a trial ran."""

from __future__ import annotations

import platform
import socket
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bench.runs.record import Provenance
from bench.training.device import device_name

PACKAGES = ("promptscale", "torch", "transformers", "peft", "optuna", "datasets", "evaluate", "numpy", "scikit-learn")


def provenance(
    device: torch.device, dtype: torch.dtype, model_revision: str | None, data_revision: str | None
) -> Provenance:
    """Return versions, commit, revisions, device and threads."""
    return Provenance(
        versions=package_versions(),
        git_commit=git_commit(),
        model_revision=model_revision,
        data_revision=data_revision,
        device=device.type,
        device_name=device_name(device),
        precision=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        host=socket.gethostname(),
        platform=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    )


@cache
def package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that decide results."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@cache
def git_commit() -> str | None:
    """Return the commit of the checkout this code runs from, with ``+changes`` if it was edited; None outside one."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+changes", "--exclude", "*"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
