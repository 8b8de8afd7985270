"""What an experiment would trust: named without running any of it.

Plug-in files are hashed, not loaded; entries of installed packages are named by their metadata, not imported; nothing
is fetched. What is built in says itself what it trusts (`trusts` of each contract).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.core.entries import Entry
from bench.core.packages import cache_folder, file_sha256
from bench.core.registry import BUILTIN, Registry
from bench.core.trust import Trusted
from bench.datasets import datasets
from bench.engines import engines
from bench.experiment.expansion import model_entry
from bench.experiment.schema import Experiment
from bench.methods import methods
from bench.metrics import metrics
from bench.models import models
from bench.runs.manifest import without_password
from bench.trackers import trackers


@dataclass(frozen=True, kw_only=True)
class Item(Trusted):
    """One thing that an experiment would trust, use or touch; its hosts are items of their own in the list."""

    kind: str
    """``model``, ``data set``, ``metric``, ``method``, ``engine``, ``plug-in``, ``host``, ``folder``, ..."""
    name: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {name: getattr(self, name) for name in ("kind", "name", "trust", "says", "facts")}


def examine(
    experiment: Experiment, where: str, plugins: Sequence[str] = (), folders: Iterable[Path] = ()
) -> list[Item]:
    """Return all that an experiment would trust.

    Args:
        experiment: the experiment as it was read.
        where: the file's name, for messages.
        plugins: plug-in files besides those that it names.
        folders: where results and reports would be written.

    Raises:
        BadInput: an option that a built-in entry does not take.
    """
    files = list(dict.fromkeys([*experiment.plugins, *plugins]))
    items = [*_code(experiment, files), *_entries(experiment, where, bool(files)), *_settings(experiment)]
    hosts = {host: why for item in reversed(items) for host, why in item.hosts.items()}
    items += [Item("note", why, kind="host", name=host) for host, why in hosts.items()]
    items += [
        Item("note", "would be written", kind="folder", name=str(folder)) for folder in [*folders, cache_folder()]
    ]
    return items


def _entries(experiment: Experiment, where: str, plugins: bool) -> Iterator[Item]:
    """Yield what each entry says of itself, or whose code it is."""
    for position, model in enumerate(experiment.models):
        place = f"{where}: models[{position}]"
        known = _builtin(models, model) or ("/" in model.name and model.name not in models)
        yield from _trusted(models, model_entry(model, place) if known else model, place, plugins)
    ours = {entry.label for entry in experiment.datasets}
    for position, dataset in enumerate(experiment.datasets):
        place = f"{where}: datasets[{position}]"
        yield from _dataset(dataset, place, plugins)
        for target in dataset.transfer:
            if target.label not in ours:
                yield from _dataset(target, f"{place}.{dataset.name}.transfer", plugins)
    for position, method in enumerate(experiment.methods):
        yield from _trusted(methods, method, f"{where}: methods[{position}]", plugins)
    for tracker in experiment.trackers:
        yield from _trusted(trackers, tracker, f"{where}: trackers", plugins)
    engine = Entry(name=experiment.engine, label=experiment.engine, options=experiment.engine_options)
    yield from _trusted(engines, engine, f"{where}: engine_options", plugins)


def _dataset(entry: Entry, where: str, plugins: bool) -> Iterator[Item]:
    yield from _trusted(datasets, entry, where, plugins)
    if _builtin(datasets, entry):
        for position, metric in enumerate(datasets.build(entry.name, entry.options, where).metrics):
            yield from _trusted(metrics, metric, f"{where}.metrics[{position}]", plugins)


def _builtin(registry: Registry[Any], entry: Entry) -> bool:
    return entry.name in registry and registry.owner(entry.name) == BUILTIN


def _trusted(registry: Registry[Any], entry: Entry, where: str, plugins: bool) -> Iterator[Item]:
    """Yield what an entry trusts; of what is not built in, and so not loaded, whose code it is."""
    kind = registry.kind
    if _builtin(registry, entry):
        for one in registry.build(entry.name, entry.options, where).trusts():
            yield Item(**{**vars(one), "kind": one.kind or kind, "name": entry.label})
    elif entry.name in registry:
        owner = registry.owner(entry.name)
        says = f"'{entry.name}' is code of {owner} (not loaded here)"
        yield Item("code", says, {"owner": owner}, kind=kind, name=entry.label)
    else:
        whose = "one of the plug-in files (not loaded here), or nothing" if plugins else "nothing that is installed"
        yield Item("code" if plugins else "note", f"'{entry.name}' comes from {whose}", kind=kind, name=entry.label)


def _code(experiment: Experiment, files: Iterable[str]) -> Iterator[Item]:
    """Yield plug-in files, and what installed packages add to the registries."""
    for file in files:
        path = Path(file).expanduser()
        if path.is_file():
            sha256 = file_sha256(path)
            says = f"Python that runs as it is; sha256 {sha256}"
            yield Item("code", says, {"sha256": sha256}, kind="plug-in", name=file)
        else:
            yield Item("changes", "is not there; whatever comes to be there would run", kind="plug-in", name=file)
    targets = [target for dataset in experiment.datasets for target in dataset.transfer]
    entries = [*experiment.models, *experiment.datasets, *targets, *experiment.methods, *experiment.trackers]
    named = {entry.name for entry in entries}
    for point in (point for registry in Registry.known() for point in entry_points(group=registry.group)):
        used = point.name in named or point.name == experiment.engine
        facts = {"target": point.value, "group": point.group, "used": used}
        package, version = (point.dist.name, point.dist.version) if point.dist else ("a package", "")
        use = "this experiment names it" if used else "imported only if an experiment names it"
        kind = point.group.removeprefix("bench.").removesuffix("s")
        says = f"{kind} of the installed {package} {version}, {point.value}; {use}"
        yield Item("code" if used else "note", says, facts, kind="entry point", name=point.name)


def _settings(experiment: Experiment) -> Iterator[Item]:
    """Yield what the experiment says of code of the hub, and of its studies' database."""
    trusted = experiment.trust_remote_code
    says = (
        "on: models of the hub may run Python code of their own" if trusted else "off: no model brings code of its own"
    )
    yield Item("code" if trusted else "note", says, kind="remote code", name="trust_remote_code")
    url, place, hosts = experiment.study.storage, "SQLite in the results folder", {}
    if url:
        place = "the studies' database"
        hosts = {urlsplit(url).hostname or "this machine": place}
    name = without_password(url) if url else "study.db"
    yield Item("note", f"{place}; no result is read from it", hosts=hosts, kind="storage", name=name)
