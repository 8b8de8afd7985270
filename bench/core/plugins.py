"""Plug-ins in a single file: loaded only where the user names them, known by their sha256.

A file registers what it brings by the registries' decorator::

    from bench.methods import Method, methods

    @methods.register("mine")
    class Mine(Method): ...

Whichever process needs it (the driver, a worker) loads the same bytes: the cells that use a plug-in carry its
path and its hash, and a file that has changed since is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.core.config import Config
from bench.core.errors import BadInput, BenchError, named_line
from bench.core.registry import Registry, registering


class PluginFile(Config):
    """A plug-in file, and the bytes that it had."""

    file: str
    """Path as the user gave it, relative to where the command runs."""
    sha256: str


_loaded: dict[str, PluginFile] = {}


def load_plugins(files: Iterable[str | PluginFile]) -> None:
    """Load plug-in files; one that is loaded already, and has not changed, is not loaded again.

    Raises:
        BadInput: a file that is missing, raises on import, registers nothing, takes a name that another has, breaks
            the contract of what it registers, or is not the file that the hash is of.
    """
    for wanted in files:
        _load(*((wanted.file, wanted.sha256) if isinstance(wanted, PluginFile) else (wanted, None)))


def loaded_plugins() -> list[PluginFile]:
    """Return all plug-in files of this process."""
    return list(_loaded.values())


def plugins_behind(*entries: tuple[Registry[Any], str]) -> tuple[PluginFile, ...]:
    """Return the plug-in files that entries come from, given as registry and name; each once, by path."""
    owners = {registry.owner(name) for registry, name in entries}
    return tuple(_loaded[owner] for owner in sorted(owners & _loaded.keys()))


def _load(file: str, expected: str | None) -> None:
    where = f"plug-in {file}"
    try:
        source = Path(file).expanduser().read_bytes()
    except OSError as error:
        raise BadInput(f"{where}: cannot be read: {error.strerror or error}") from None
    sha256 = hashlib.sha256(source).hexdigest()
    if expected is not None and sha256 != expected:
        raise BadInput(f"{where}: has changed since the run was planned (sha256 {sha256[:12]}, not {expected[:12]})")
    if file in _loaded and _loaded[file].sha256 == sha256:
        return
    _forget(file)
    try:
        with registering(file):
            _execute(file, source)
        _check(file)
    except BaseException as error:
        _forget(file)
        if isinstance(error, BenchError):
            raise BadInput(f"{where}: {error}") from error
        if not isinstance(error, Exception | SystemExit):
            raise
        raise BadInput(f"{where}: raises on import: {named_line(error)}{_line(error, file)}") from error
    _loaded[file] = PluginFile(file=file, sha256=sha256)


def _execute(file: str, source: bytes) -> None:
    """Run the very bytes that were hashed, as a module that can be found while its classes are alive."""
    path = Path(file).expanduser().absolute()
    name = f"bench_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{path.stem}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise


def _check(file: str) -> None:
    """Load each entry, which checks its class."""
    brought = [(registry, name) for registry in Registry.known() for name in registry.names_of(file)]
    if not brought:
        raise BadInput("registers nothing; put @methods.register('name') over its class (from bench.methods)")
    for registry, name in brought:
        registry.get(name)


def _forget(file: str) -> None:
    _loaded.pop(file, None)
    for registry in Registry.known():
        registry.forget(file)


def _line(error: BaseException, file: str) -> str:
    """Say in which line of the file itself it happened."""
    if isinstance(error, SyntaxError):
        return ""  # its own message says so
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).name == Path(file).name]
    return f" (line {own[-1].lineno})" if own else ""
