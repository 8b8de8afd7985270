"""Registries: a name, the class behind it, and nothing imported before it is asked for.

Such as `bench.methods.methods`, `bench.datasets.datasets` and `bench.models.models`. An entry is a frozen configuration
class (`bench.core.config.Config`): its fields are what an experiment file may say, its docstrings are the help text.
Outside packages add entries by entry point (groups ``bench.methods``, ``bench.datasets``, ``bench.models``, and so on),
single files by `bench.core.plugins`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakSet

from bench.core.config import Config
from bench.core.errors import BadInput, did_you_mean, named_line

T = TypeVar("T", bound=Config)

NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}\Z")
"""What may be used as a name, and so as part of a path."""


BUILTIN = "promptscale"
"""Owner of what ships with the package."""

_registrant: ContextVar[str | None] = ContextVar("registrant", default=None)


@contextmanager
def registering(owner: str) -> Iterator[None]:
    """Let what is registered in here belong to ``owner``, such as a plug-in file."""
    token = _registrant.set(owner)
    try:
        yield
    finally:
        _registrant.reset(token)


def check_name(name: str, where: str) -> str:
    """Return ``name`` if it may be used in a path, or raise `BadInput`."""
    if not NAME.match(name):
        raise BadInput(
            f"{where}: {name!r} is not a valid name; use 1 to 64 of a-z 0-9 . _ - and begin with a letter or a digit"
        )
    return name


class Registry(Generic[T]):
    """Names and the configuration classes behind them; targets are ``"module:attribute"`` until asked for.

    Args:
        kind: the word for an entry in messages, such as ``"method"``.
        base: ``"module:attribute"`` of the class that every entry must derive from.
        builtin: name to ``"module:attribute"`` of what ships with the package.
    """

    _all: ClassVar[WeakSet[Registry[Any]]] = WeakSet()

    def __init__(self, kind: str, base: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = f"bench.{kind.replace(' ', '')}s"
        self._base = base
        self._targets: dict[str, str | type[T]] = dict(builtin)
        self._owners = dict.fromkeys(builtin, BUILTIN)
        self._broken: dict[str, str] = {}
        self._classes: dict[str, type[T]] = {}
        """Those that were asked for, loaded and found to keep the contract."""
        self._discovered = False
        Registry._all.add(self)

    @classmethod
    def known(cls) -> list[Registry[Any]]:
        """Return the registries of this process that were imported so far."""
        return sorted(cls._all, key=lambda registry: registry.kind)

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that adds an entry from code, such as a notebook or a plug-in file."""

        def add(entry: type[T]) -> type[T]:
            self.add(name, entry, owner=_registrant.get() or entry.__module__)
            return entry

        return add

    def add(self, name: str, target: str | type[T], owner: str) -> None:
        """Add an entry; a name that another owner has is refused."""
        check_name(name, f"{self.kind} of {owner}")
        same = isinstance(target, type) and self._targets.get(name) == f"{target.__module__}:{target.__qualname__}"
        if same and self._owners[name] != BUILTIN:
            return  # an entry point's own module, being imported, registers what the entry point names
        if name in self._targets and self._owners[name] != owner:
            raise BadInput(
                f"{self.kind} '{name}' of {owner} is already taken by {self._owners[name]}; give it another name"
            )
        self._targets[name] = target
        self._owners[name] = owner
        self._classes.pop(name, None)
        self._broken.pop(name, None)

    def forget(self, owner: str) -> None:
        """Remove the entries of an owner."""
        for name in self.names_of(owner):
            self._targets.pop(name, None)
            self._broken.pop(name, None)
            del self._owners[name]

    def names_of(self, owner: str) -> list[str]:
        """Return the names that an owner has."""
        return sorted(name for name, whose in self._owners.items() if whose == owner)

    def get(self, name: str, where: str = "") -> type[T]:
        """Return the class behind a name.

        Raises:
            BadInput: unknown name (with the nearest known one), or a plug-in that does not load.
        """
        self._discover()
        prefix = f"{where}: " if where else ""
        if name not in self._targets:
            if name in self._broken:
                raise BadInput(f"{prefix}{self.kind} '{name}' does not load: {self._broken[name]}")
            near = did_you_mean(name, self._targets)
            listed = self.group.removeprefix("bench.")
            raise BadInput(
                f"{prefix}unknown {self.kind} '{name}'{near} (see 'bench list {listed}'; one of a plug-in needs its "
                "package installed, or its file with --plugin FILE)"
            )
        if name not in self._classes:
            try:
                self._classes[name] = self._checked(self._targets[name])
            except (Exception, SystemExit) as error:  # a plug-in may raise anything at import: report it by name
                self._broken[name] = f"{named_line(error)} (from {self._owners[name]})"
                del self._targets[name]
                raise BadInput(f"{prefix}{self.kind} '{name}' does not load: {self._broken[name]}") from error
        return self._classes[name]

    def build(self, name: str, options: Mapping[str, Any], where: str) -> T:
        """Return a validated instance of the entry; ``where`` names the place of ``options`` in errors."""
        return self.get(name, where).parse(options, where)

    def names(self) -> list[str]:
        """Return all names, built-in and of plug-ins, sorted."""
        self._discover()
        return sorted(self._targets)

    def entries(self) -> Iterator[tuple[str, type[T]]]:
        """Yield every entry that loads; one broken plug-in never stops the rest (see `broken`)."""
        for name in self.names():
            try:
                entry = self.get(name)
            except BadInput:
                continue
            yield name, entry

    def owner(self, name: str) -> str:
        """Return the distribution or module that an entry comes from."""
        return self._owners[name]

    @property
    def broken(self) -> dict[str, str]:
        """Names of the plug-ins that could not be loaded, and why."""
        self._discover()
        return dict(self._broken)

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._targets

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        for point in entry_points(group=self.group):
            owner = point.dist.name if point.dist else point.value
            try:
                self.add(point.name, point.value, owner)
            except BadInput as error:
                self._broken[f"{point.name} ({owner})"] = str(error)

    def _checked(self, target: str | type[T]) -> type[T]:
        """Return a class that keeps the contract of this registry as far as can be seen without using it."""
        base = load_target(self._base)
        entry = load_target(target) if isinstance(target, str) else target
        named = target if isinstance(target, str) else getattr(entry, "__qualname__", repr(entry))
        if not (isinstance(entry, type) and issubclass(entry, base)):
            raise TypeError(f"{named} is not a subclass of {base.__module__}.{base.__qualname__}")
        missing = sorted(getattr(entry, "__abstractmethods__", ()))
        if missing:
            raise TypeError(f"{named} does not define {' and '.join(missing)}, as a {self.kind} has to")
        return entry


def load_target(target: str) -> Any:
    """Return what stands behind ``"module:attribute"``."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
