"""A finished run, found by its record or by its adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BadInput
from bench.runs.record import TrialRecord, read_record

RECORD_FILE = "run.json"
"""Name of the record in a folder that ``bench export`` wrote."""


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended well, and where its trained weights are."""

    record: TrialRecord
    path: Path
    """The file of the record."""
    adapter: Path | None
    """The folder of the trained weights; None for a method that trains nothing."""

    @property
    def title(self) -> str:
        """The run in one line."""
        return self.record.spec.title


def find_run(path: Path) -> FinishedRun:
    """Find a run by its record file, by its adapter's folder, or by an exported folder.

    Raises:
        BadInput: there is no run at this path, it did not end well, or its trained weights were not kept.
    """
    file, adapter = _places(path)
    record = read_record(file)
    if record is None:
        raise BadInput(f"{file}: is not a whole record")
    if record.status != "ok":
        raise BadInput(f"{file}: this run ended as '{record.status}' ({record.reason}); choose one that ended well")
    if adapter.is_dir() and any(entry.is_file() for entry in adapter.iterdir()):
        return FinishedRun(record, file, adapter)
    if record.parameters is None or record.parameters.trainable == 0:
        return FinishedRun(record, file, None)
    if record.spec.kind != "final":
        raise BadInput(
            f"{file}: the weights of a {record.spec.kind} are not kept; choose a final (final-*.json beside it)"
        )
    raise BadInput(f"{file}: its trained weights are not in {adapter} (were finals.save_adapters off?)")


def _places(path: Path) -> tuple[Path, Path]:
    """Return the record's file and the adapter's folder that belong to a path."""
    exported = path.parent if path.name == RECORD_FILE else path
    if (exported / RECORD_FILE).is_file():
        return exported / RECORD_FILE, exported
    absolute = path.absolute()
    for kind, other in (("records", "adapters"), ("adapters", "records")):
        root = next((folder for folder in absolute.parents if folder.name == kind), None)
        if root is None:
            continue
        beside = root.with_name(other) / absolute.relative_to(root)
        if kind == "records" and path.is_file():
            return path, beside.with_suffix("")
        file = beside.with_name(f"{beside.name}.json")
        if kind == "adapters" and path.is_dir() and file.is_file():
            return file, path
    raise BadInput(
        f"{path}: is no run; expected a record (results/<name>/records/.../final-*.json), the folder of its adapter "
        "(results/<name>/adapters/.../final-*), or a folder that 'bench export' wrote"
    )
