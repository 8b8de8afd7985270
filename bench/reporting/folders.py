"""Results folders come in; the runs that count go out, and how many do not.

Reading is only reading: a report never moves, repairs or writes anything in a results folder, for the folder may be
committed, on a read-only disk, or in use by a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.core.errors import BadInput
from bench.reporting.cells import CellResults
from bench.reporting.grouping import group_cells
from bench.reporting.superseded import superseded as superseded_cells
from bench.runs.manifest import FILENAME, Manifest
from bench.runs.record import TrialRecord, read_record


@dataclass(frozen=True)
class Results:
    """What one or several results folders hold."""

    manifests: tuple[Manifest, ...]
    """What the runs were asked for; of folders that have an ``experiment.json``."""
    records: tuple[TrialRecord, ...]
    """The runs that count, by folder, cell, kind and number."""
    folders: tuple[str, ...]
    """The name of the folder that each was read from."""
    stale: int = 0
    """Records left out because they are of an earlier version of their experiment."""
    superseded: tuple[str, ...] = ()
    """The cells of these records, and what has changed since."""
    unreadable: tuple[str, ...] = ()
    """Files left out because they are no whole record."""
    repeated: int = 0
    """Records left out because another folder holds the same run (same settings, same seed)."""

    metric: str | None = None
    """The metric on test that was chosen for tables and figures; None is each cell's own, which its study optimised."""

    @cached_property
    def cells(self) -> list[CellResults]:
        """The runs by cell."""
        terms = {path: one.terms for one in self.manifests for path in one.cells}
        return group_cells(self.records, self.method_labels, self.metric, terms)

    @cached_property
    def method_labels(self) -> dict[str, str]:
        """Cell path to the label of its method, distinct where merged folders use one label for two things."""
        return _distinct_methods(zip(self.records, self.folders, strict=True))


def collect(paths: str | Path | Iterable[str | Path], metric: str | None = None) -> Results:
    """Read one results folder, or several that are merged.

    The same run in two folders counts once, for it is no further seed; a good end is preferred,
    then the folder that was named first.

    Args:
        paths: the folders.
        metric: the recorded metric that tables and figures are about, where it is not what the studies optimised.

    Raises:
        BadInput: a folder is missing, is no results folder, or holds no record that counts or has the metric.
    """
    folders = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not folders:
        raise BadInput("no results folder was given")
    manifests: list[Manifest] = []
    kept: dict[tuple[str, str], tuple[TrialRecord, str]] = {}
    superseded: list[str] = []
    unreadable: list[str] = []
    found = stale = 0
    for resolved, folder in {path.resolve(): path for path in folders}.items():
        try:
            manifest = _read_manifest(folder)
            files = sorted((folder / "records").rglob("[!.]*.json"))
            read = [read_record(path) for path in files]
        except OSError as error:
            raise BadInput(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from None
        if manifest is not None:
            manifests.append(manifest)
        records = [record for record in read if record is not None]
        unreadable += [str(file) for file, record in zip(files, read, strict=True) if record is None]
        if manifest is not None:
            earlier = [record for record in records if record.cell_path not in manifest.cells]
            records = [record for record in records if record.cell_path in manifest.cells]
            stale += len(earlier)
            cells = {record.cell_path: record.spec.cell for record in earlier}
            superseded += superseded_cells(cells.values(), manifest)
            others = [record for record in records if not manifest.cells[record.cell_path].holds(record)]
            records = [record for record in records if manifest.cells[record.cell_path].holds(record)]
            stale += len(others)
            superseded += dict.fromkeys(f"{one.spec.cell.title} (finals that are not planned now)" for one in others)
        for record in records:
            found += 1
            key = (record.cell_path, record.spec_hash)
            if key not in kept or (kept[key][0].status != "ok" and record.status == "ok"):
                kept[key] = (record, resolved.name)
    if not kept:
        raise BadInput(f"{', '.join(map(str, folders))}: {_nothing(stale, len(unreadable), superseded)}")
    counted, names = zip(*kept.values(), strict=True)
    if metric is not None:
        recorded = {name for record in counted if record.test for name in record.test.metrics}
        if metric not in recorded:
            raise BadInput(f"--metric {metric}: no record has it; recorded are {', '.join(sorted(recorded)) or 'none'}")
    return Results(
        tuple(manifests),
        counted,
        names,
        stale=stale,
        superseded=tuple(superseded),
        unreadable=tuple(unreadable),
        repeated=found - len(kept),
        metric=metric,
    )


def _nothing(stale: int, unreadable: int, superseded: Iterable[str]) -> str:
    if stale:
        cells = ", ".join(superseded)
        return f"no record counts: all {stale} are of an earlier version of the experiment; run it again ({cells})"
    if unreadable:
        return f"no record counts: none of the {unreadable} files under records/ is a whole record"
    return "holds no records yet; 'bench run' writes one whenever a trial ends"


def _read_manifest(folder: Path) -> Manifest | None:
    """Return what a results folder says of itself; None where it has records alone."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: there is no such folder")
    manifest = Manifest.read(folder)
    if manifest is None and not (folder / "records").is_dir():
        raise BadInput(f"{folder}: is not a results folder (neither {FILENAME} nor records/ is in it)")
    return manifest


def _distinct_methods(runs: Iterable[tuple[TrialRecord, str]]) -> dict[str, str]:
    """Name the methods of all cells so that no two cells bear the same three labels.

    Two experiments may both have a ``lora`` and mean different settings: then each becomes ``lora
    (its results folder)``, at every size, so that a line of the figure stays one line; where that
    does not tell them apart, the beginning of the cell's hash does.
    """
    labels: dict[str, tuple[str, str, str]] = {}
    origins: dict[str, str] = {}
    for record, folder in runs:
        labels.setdefault(record.cell_path, record.spec.cell.labels)
        origins.setdefault(record.cell_path, folder)
    shared = {labels[path][2] for path in _clashes(labels)}
    by_folder = {path: (*labels[path], origins[path]) for path in labels}
    still = {labels[path][2] for path in _clashes(by_folder)}
    names = {}
    for path, (_, _, method) in labels.items():
        suffix = path.rsplit("/", 1)[-1][:6] if method in still else origins[path]
        names[path] = f"{method} ({suffix})" if method in shared else method
    return names


def _clashes(names: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the keys whose value another key has too."""
    times = Counter(names.values())
    return [key for key, value in names.items() if times[value] > 1]
