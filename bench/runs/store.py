"""The store of records: one JSON file a run, never torn, never lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from bench.core.errors import Unavailable
from bench.core.files import write_atomic
from bench.runs.record import TrialRecord, dump_record, read_record
from bench.runs.spec import TrialSpec


class RecordStore:
    """The records of one results folder: ``<root>/records/<model>/<data set>/<method>/<hash>/*.json``."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.set_aside: list[Path] = []
        """Damaged files that were met, under the name that they bear now."""
        self.folder = self.root / "records"

    def path(self, spec: TrialSpec) -> Path:
        """Where the record of a run is kept."""
        return self.folder / spec.cell.path / spec.filename

    def artifacts(self, spec: TrialSpec) -> Path:
        """Where a run keeps its adapter."""
        return self.root / "adapters" / spec.cell.path / spec.filename.removesuffix(".json")

    def write(self, record: TrialRecord) -> Path:
        """Write a record, atomically.

        Raises:
            Unavailable: the disk is full, or the folder cannot be written any more.
        """
        path = self.path(record.spec)
        try:
            write_atomic(path, dump_record(record))
        except OSError as error:
            raise Unavailable(f"{path}: the record cannot be written: {error.strerror or error}") from error
        return path

    def iter_cell(self, cell_path: str) -> Iterator[TrialRecord]:
        """Return the records of one cell, by kind and number."""
        return self._read(self.folder / cell_path)

    def __iter__(self) -> Iterator[TrialRecord]:
        return self._read(self.folder)

    def _read(self, folder: Path) -> Iterator[TrialRecord]:
        for path in sorted(folder.rglob("*.json")):
            if path.name.startswith("."):
                continue
            record = read_record(path)
            if record is None:
                # Set aside, never deleted: the trial runs again and the evidence stays.
                free = next(one for n in count() if not (one := path.with_suffix(f".corrupt{n or ''}")).exists())
                with suppress(FileNotFoundError):  # another process has set it aside by now
                    self.set_aside.append(path.replace(free))
                continue
            yield record
