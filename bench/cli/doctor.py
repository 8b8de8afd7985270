"""``bench doctor``: what this machine has, what it lacks, and the command that installs it."""

from __future__ import annotations

import importlib
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from rich.console import Console
from rich.markup import escape

from bench.core.packages import cache_folder

Finding = tuple[bool, str]
"""Whether it is well, and one line about it."""


def examine() -> int:
    """Print all findings; return 0 if nothing that is needed is missing, else 1."""
    console = Console()
    well = True
    for title, findings in (
        ("versions", _versions()),
        ("device", _device()),
        ("cache", _cache()),
        ("network", _network()),
    ):
        console.print(f"[bold]{title}[/]")
        for fine, text in findings:
            # Without a network everything that is in the cache still runs.
            well &= fine or title == "network"
            console.print(f"  {'[green]ok[/]' if fine else '[red]missing[/]'}  {escape(text)}", soft_wrap=True)
    return 0 if well else 1


def _versions() -> Iterator[Finding]:
    yield True, f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    for line in requires("promptscale") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        remedy = f'{sys.executable} -m pip install "{requirement}"'
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield False, f"{requirement.name} is not installed: {remedy}"
            continue
        if requirement.specifier.contains(found, prereleases=True):
            yield True, f"{requirement.name} {found}"
        else:
            yield False, f"{requirement.name} {found} is not {requirement.specifier}: {remedy}"


def _device() -> Iterator[Finding]:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        yield False, f"torch does not load: {error}"
        return
    from bench.engines.base import cores
    from bench.training.device import device_name, resolve_device, resolve_dtype

    device = resolve_device("auto")
    dtype = str(resolve_dtype("auto", device)).removeprefix("torch.")
    yield True, f"device auto is {device.type} ({device_name(device)}), precision auto is {dtype}"
    yield True, f"{cores()} cores for this process, torch would use {torch.get_num_threads()} threads"
    if device.type == "cpu":
        yield True, "no CUDA and no MPS device: memory figures are live tensors and resident set"


def _cache() -> Iterator[Finding]:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield False, f"{folder} is not writable ({error.strerror}): set BENCH_CACHE to a folder that is"
        return
    yield True, f"{folder} is writable"
    models = sorted(path.name for path in (folder / "models").glob("[!.]*"))
    wheels = sorted(path.name for path in (folder / "wheels").glob("[!.]*") if path.is_file())
    yield True, f"models converted: {', '.join(models) or 'none yet'}"
    yield True, f"packages: {', '.join(wheels) or 'none yet'}"


def _network() -> Iterator[Finding]:
    # One of the packages that the smallest model comes from stands for the whole index.
    asked = [sys.executable, "-m", "pip", "index", "versions", "glassllm", "--retries", "0"]
    environment = {**os.environ, "PIP_DEFAULT_TIMEOUT": "10", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(asked, capture_output=True, text=True, env=environment, timeout=60, check=False)
        if done.returncode == 0:
            yield True, "the package index answers"
        elif "No module named pip" in done.stderr:
            yield False, f"pip is not installed: {sys.executable} -m ensurepip"
        else:
            yield False, "the package index does not answer: models and data sets that are not in the cache cannot come"
    except subprocess.TimeoutExpired:
        yield False, "the package index does not answer within a minute"
    try:
        socket.create_connection(("huggingface.co", 443), timeout=5).close()
        yield True, "the hub can be reached"
    except OSError:
        yield False, "the hub cannot be reached: models and data sets by hub id must be in its cache already"
