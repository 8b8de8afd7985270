"""``records.parquet``: a compacted copy of a large folder's records, so that a hundred thousand are read in seconds.

It is a cache beside the JSON files, which stay the truth: a row is used only if its file still has the
size and the time of change that the row was made of, and the whole can be deleted at any time. It
holds no curves and no predictions; runs that need theirs are read again from their own files.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.records import Provenance, TrialRecord, read_record, write_atomic
from bench.spec import Cell, TrialSpec

if TYPE_CHECKING:
    import pyarrow as pa

FILENAME = "records.parquet"
LARGE = 2000
"""Folders of fewer files are read as they are, and get no compacted copy."""
_WORTH_WRITING = 500
"""So many files that are not in the copy, and it is written anew."""
_FORMAT = b"1"
"""Raised when rows change their meaning; a copy of another format is not used."""
_SHARED = ("cell_path", "kind", "status", "cell", "provenance")
"""Columns in which many rows hold the same text."""
_COLUMNS = ("path", "changed", "size", "number", "objective", "body", *_SHARED)


_WORTH_HELP = 5000
"""So many files, and other processes help to read them."""
_File = tuple[str, int, int]
"""Path below ``records/``, time of change, size."""


class Row(NamedTuple):
    """A record without its curves and predictions, not yet parsed."""

    path: str
    """Relative to the folder ``records/``."""
    changed: int
    """Time of the file's last change, in nanoseconds."""
    size: int
    cell_path: str
    kind: str
    number: int
    status: str | None
    """None for a file that is no whole record."""
    objective: float | None
    cell: str = ""
    """JSON of the cell: many rows share it."""
    provenance: str = ""
    body: str = ""
    """JSON of all else."""


class Compact:
    """The records of one large results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "records"
        self._cells: dict[str, Cell] = {}
        self._provenance: dict[str, Provenance] = {}

    @cached_property
    def rows(self) -> list[Row]:
        """All rows, by path; the copy is written anew where many files are not in it."""
        found = scan(self.folder)
        rows = [row for row in self._stored() if found.get(row.path) == (row.changed, row.size)]
        known = {row.path for row in rows}
        missing = sorted(found.keys() - known)
        rows += self._read_anew([(path, *found[path]) for path in missing])
        rows.sort(key=lambda row: row.path)
        if len(missing) >= _WORTH_WRITING:
            # A folder that cannot be written is read all the same, only slower.
            with suppress(OSError):
                write_atomic(self.root / FILENAME, _parquet(rows))
        return rows

    def record(self, row: Row) -> TrialRecord | None:
        """Return a row as a record without curves (but for the best validation) and predictions."""
        if row.status is None:
            return None
        data = json.loads(row.body)
        # What many records share is parsed once and is one object in memory.
        if row.cell not in self._cells:
            self._cells[row.cell] = Cell.model_validate_json(row.cell)
        if row.provenance not in self._provenance:
            self._provenance[row.provenance] = Provenance.model_validate_json(row.provenance)
        data["spec"] = TrialSpec.model_validate({**data["spec"], "cell": self._cells[row.cell]})
        return TrialRecord.model_validate({**data, "provenance": self._provenance[row.provenance]})

    def whole(self, row: Row) -> TrialRecord | None:
        """Return the whole record of a row, from its own file."""
        return read_record(self.folder / row.path)

    def _stored(self) -> Iterator[Row]:
        try:
            data = (self.root / FILENAME).read_bytes()
        except OSError:
            return iter(())
        return _rows(data)

    def _read_anew(self, missing: Sequence[_File]) -> list[Row]:
        """Read files that are not in the copy; many of them with the help of other processes."""
        helpers = min(_cores() - 1, 7) if len(missing) >= _WORTH_HELP else 0
        shares = [missing[place :: helpers + 1] for place in range(helpers + 1)]
        with ExitStack() as stack:
            # Not by multiprocessing, which runs a user's script once more where that has no guard.
            command = [sys.executable, "-m", "bench.reporting.compact", str(self.root)]
            running = []
            for share in shares[1:]:
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                stack.callback(process.kill)
                assert process.stdin is not None
                process.stdin.write(json.dumps(share).encode())
                process.stdin.close()
                running.append(process)
            rows = [self._row(*file) for file in shares[0]]
            for process, share in zip(running, shares[1:], strict=True):
                assert process.stdout is not None
                answer = process.stdout.read()
                helped = list(_rows(answer)) if process.wait() == 0 else []
                # Whatever became of a helper: its share is read, here if need be.
                rows += helped if len(helped) == len(share) else [self._row(*file) for file in share]
        return rows

    def _row(self, path: str, changed: int, size: int) -> Row:
        record = read_record(self.folder / path)
        if record is None:
            return Row(path, changed, size, cell_path="", kind="", number=0, status=None, objective=None)
        spec = record.spec
        light = record.model_copy(
            update={"validation_curve": _kept(record), "train_curve": [], "predictions": None, "checksum": None}
        )
        body = light.model_dump_json(exclude={"spec": {"cell"}, "provenance": True}, exclude_defaults=True)
        return Row(
            path=path,
            changed=changed,
            size=size,
            cell_path=record.cell_path,
            kind=spec.kind,
            number=spec.number,
            status=record.status,
            objective=record.objective,
            cell=spec.cell.model_dump_json(),
            provenance=record.provenance.model_dump_json(),
            body=body,
        )


def is_large(root: Path) -> bool:
    """Whether a results folder has so many records that it is read by its compacted copy."""
    folder = root / "records"
    return folder.is_dir() and sum(1 for _ in islice(_files(str(folder)), LARGE)) == LARGE


def scan(folder: Path) -> dict[str, tuple[int, int]]:
    """Return each record file below a folder: its relative path, time of change (ns) and size (bytes)."""
    start = len(str(folder)) + 1
    found = {}
    for entry in _files(str(folder)):
        state = entry.stat()
        found[entry.path[start:].replace(os.sep, "/")] = (state.st_mtime_ns, state.st_size)
    return found


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.name.endswith(".json") and not entry.name.startswith("."):
                yield entry


def _kept(record: TrialRecord) -> Sequence[Any]:
    """Return the one point of the validation curve that tables ask for."""
    at_best = [point for point in record.validation_curve if point.step == record.best_step]
    return at_best[:1] or record.validation_curve[-1:]


def _parquet(rows: Iterable[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(rows)
    columns: dict[str, pa.Array] = {name: pa.array([getattr(row, name) for row in rows]) for name in _COLUMNS}
    table = pa.table(columns).replace_schema_metadata({b"promptscale": _FORMAT})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=list(_SHARED))
    return buffer.getvalue()


def _rows(data: bytes) -> Iterator[Row]:
    """Yield the rows of a copy; none of one that is damaged or of another format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data), read_dictionary=list(_SHARED))
    except (OSError, pa.ArrowException):
        return
    metadata = table.schema.metadata or {}
    if metadata.get(b"promptscale") != _FORMAT or not set(_COLUMNS) <= set(table.column_names):
        return
    columns = [_values(table.column(name), name in _SHARED) for name in _COLUMNS]
    by_name = dict(zip(_COLUMNS, columns, strict=True))
    yield from map(Row._make, zip(*(by_name[name] for name in Row._fields), strict=True))


def _values(column: pa.ChunkedArray, shared: bool) -> list[Any]:
    """Return a column as a list; a text that many rows share is one object in memory."""
    if not shared or not hasattr(column.type, "index_type"):
        return list(column.to_pylist())
    values: list[Any] = []
    for chunk in column.chunks:
        texts = chunk.dictionary.to_pylist()
        values += [None if place is None else texts[place] for place in chunk.indices.to_pylist()]
    return values


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":  # a helper of `Compact`: files on standard input, rows on standard output
    mine = Compact(Path(sys.argv[1]))
    sys.stdout.buffer.write(_parquet(mine._row(*file) for file in json.load(sys.stdin)))
