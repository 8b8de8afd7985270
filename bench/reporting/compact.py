"""``records.parquet``: a compacted copy of a large folder's records, so that a hundred thousand are read in seconds.

It is a cache beside the JSON files, which stay the truth: a row is used only if its file still has the
size and the time of change that the row was made of, and the whole can be deleted at any time. It
holds no curves and no predictions; runs that need theirs are read again from their own files.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from bench.core.config import content_hash
from bench.core.files import write_atomic
from bench.experiment.cell import Cell
from bench.reporting.parquet import (
    COLUMNS,
    LIGHT,
    ROW_GROUP,
    SHARED,
    from_parquet,
    give_back,
    lines_of,
    to_parquet,
    type_of,
    values_of,
)
from bench.runs.record import SCHEMA_VERSION, STATUSES, Provenance, TrialRecord, read_record
from bench.runs.spec import TrialSpec

if TYPE_CHECKING:
    import pyarrow as pa

FILENAME = "records.parquet"
LARGE = 2000
"""Folders of fewer files are read as they are, and get no compacted copy."""
_WORTH_WRITING = 500
"""So many files that are not in the copy, and it is written anew."""
_WORTH_HELP = 5000
"""So many files, and other processes help to read them."""
_File = tuple[str, int, int]
"""Path below ``records/``, time of change, size."""


class Row(NamedTuple):
    """What can be said of a record without parsing it."""

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
    place: int = -1
    """Of its texts in the copy; -1 for a row that is not in it."""


class _Texts(NamedTuple):
    """The rest of a record, as JSON."""

    cell: str = ""
    provenance: str = ""
    body: str = ""
    """All else, without curves and predictions."""


class Compact:
    """The records of one large results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "records"
        self._cells: dict[str, Cell] = {}
        self._provenance: dict[str, Provenance] = {}
        self._fresh: dict[str, _Texts] = {}
        """Texts of the rows that are not in the copy, by path."""

    @cached_property
    def rows(self) -> list[Row]:
        """All rows, by path; the copy is written anew where many files are not in it."""
        with no_collector(), ThreadPoolExecutor(1) as beside:
            # To ask for the state of each file is mostly to wait for the system.
            found = beside.submit(scan, self.folder)
            stored = list(self._stored())
            return self._current(found.result(), stored)

    def _current(self, found: dict[str, tuple[int, int]], stored: list[Row]) -> list[Row]:
        stored = [row for row in stored if found.get(row.path) == (row.changed, row.size)]
        if len(stored) == len(found):
            return stored
        known = {row.path for row in stored}
        missing = sorted(found.keys() - known)
        fresh = self._read_anew([(path, *found[path]) for path in missing])
        if len(missing) < _WORTH_WRITING:
            lines = lines_of(fresh)
            self._fresh = {line[0]: _Texts(*line[len(LIGHT) :]) for line in lines}
            return sorted([*stored, *(Row(*line[: len(LIGHT)]) for line in lines)], key=lambda row: row.path)
        self._copy = self._joined([row.place for row in stored], fresh)
        # A folder that cannot be written is read all the same, only slower.
        with suppress(OSError):
            write_atomic(self.root / FILENAME, self._copy)
        del fresh
        give_back()
        return list(self._stored())

    def _joined(self, places: Sequence[int], fresh: pa.Table) -> bytes:
        """Return the copy anew: what is still right of it, and what was read."""
        import pyarrow as pa

        stored = from_parquet(self._copy, COLUMNS, as_kinds=False) if places else None
        kept = [] if stored is None else [stored.take(pa.array(places))]
        return to_parquet(pa.concat_tables([*kept, fresh]).sort_by("path"))

    def record(self, row: Row) -> TrialRecord | None:
        """Return a row as a record without curves (but for the best validation) and predictions."""
        if row.status is None:
            return None
        texts = self._texts(row)
        data = from_json(texts.body)
        try:
            cell, data["provenance"] = self._shared(texts.cell, texts.provenance)
            data["spec"] = TrialSpec.model_validate({**data["spec"], "cell": cell})
            return TrialRecord.model_validate(data)
        except ValidationError:  # of another version of ours
            return None

    def _shared(self, cell: str, provenance: str) -> tuple[Cell, Provenance]:
        """Return what many records share: parsed once, and one object in memory."""
        if cell not in self._cells:
            self._cells[cell] = Cell.model_validate_json(cell)
        if provenance not in self._provenance:
            self._provenance[provenance] = Provenance.model_validate_json(provenance)
        return self._cells[cell], self._provenance[provenance]

    def whole(self, row: Row) -> TrialRecord | None:
        """Return the whole record of a row, from its own file."""
        return read_record(self.folder / row.path)

    @cached_property
    def _copy(self) -> bytes:
        """The copy as it is now: its parts are read when they are asked for, and it may be replaced in between."""
        try:
            return (self.root / FILENAME).read_bytes()
        except OSError:
            return b""

    def _stored(self) -> Iterator[Row]:
        table = from_parquet(self._copy, LIGHT)
        if table is not None:
            columns = [values_of(table.column(name)) for name in LIGHT]
            yield from map(Row._make, zip(*columns, range(table.num_rows), strict=True))

    @cached_property
    def _stored_texts(self) -> tuple[list[str], list[str], pa.Array]:
        """Cells, provenances and bodies of the copy; bodies become text one by one, for few may be asked for."""
        table = from_parquet(self._copy, _Texts._fields)
        assert table is not None, "rows were read from it"
        cells, provenances = (values_of(table.column(name)) for name in SHARED)
        bodies = table.column("body").combine_chunks()
        del table
        give_back()
        return cells, provenances, bodies

    def _texts(self, row: Row) -> _Texts:
        if row.place < 0:
            return self._fresh[row.path]
        cells, provenances, bodies = self._stored_texts
        return _Texts(cells[row.place], provenances[row.place], bodies[row.place].as_py())

    def _read_anew(self, missing: Sequence[_File]) -> pa.Table:
        """Read files that are not in the copy; many of them with the help of other processes."""
        import pyarrow as pa

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
            tables = [self._table(shares[0])]
            for process, share in zip(running, shares[1:], strict=True):
                assert process.stdout is not None
                answer = process.stdout.read()
                helped = from_parquet(answer, COLUMNS, as_kinds=False) if process.wait() == 0 else None
                # Whatever became of a helper: its share is read, here if need be.
                whole = helped is not None and helped.num_rows == len(share)
                tables.append(helped if whole else self._table(share))
        return pa.concat_tables(tables)

    def _table(self, files: Sequence[_File]) -> pa.Table:
        """Read files, a few thousand at a time: as Python's objects their texts take several times the room."""
        import pyarrow as pa

        parts = []
        for start in range(0, max(1, len(files)), ROW_GROUP):
            rows = [(*row[: len(LIGHT)], *texts) for row, texts in map(self._row, files[start : start + ROW_GROUP])]
            columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
            arrays = [pa.array(column, type=type_of(name)) for name, column in zip(COLUMNS, columns, strict=True)]
            parts.append(pa.table(arrays, names=list(COLUMNS)))
        return pa.concat_tables(parts)

    def _row(self, file: _File) -> tuple[Row, _Texts]:
        path, changed, size = file
        found = self._written(path, changed, size)
        if found is not None:
            return found
        # Whatever is not plainly as we write it: the reader of single records decides what it is.
        record = read_record(self.folder / path)
        if record is None:
            return Row(path, changed, size, cell_path="", kind="", number=0, status=None, objective=None), _Texts()
        return _divided(path, changed, size, record.model_dump(mode="json"))

    def _written(self, path: str, changed: int, size: int) -> tuple[Row, _Texts] | None:
        """Return a record that is, by its checksum, what was once validated and written; else None.

        What it shares with others is validated here, once; the rest when the record is asked for: to validate all of
        each would take as long as everything else that is to be done with it.
        """
        try:
            with open(f"{self.folder}/{path}", "rb", buffering=0) as file:  # noqa: PTH123 - thrice as fast as a Path
                data = from_json(file.read())
            checksum = data.pop("checksum")
            if data["schema_version"] != SCHEMA_VERSION or content_hash(data) != checksum:
                return None
            if not (data.keys() <= TrialRecord.model_fields.keys() and data["status"] in STATUSES):
                return None  # of another version of ours
            row, texts = _divided(path, changed, size, data)
            self._shared(texts.cell, texts.provenance)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        plain = isinstance(row.cell_path, str) and row.kind in ("trial", "final") and type(row.number) is int
        return (row, texts) if plain and isinstance(row.objective, float | None) else None


@contextmanager
def no_collector() -> Iterator[None]:
    """Keep Python's collector still: where millions of objects are made and none is garbage, it doubles the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def is_large(root: Path) -> bool:
    """Whether a results folder has so many records that it is read by its compacted copy."""
    folder = root / "records"
    return folder.is_dir() and sum(1 for _ in islice(_files(str(folder)), LARGE)) == LARGE


def scan(folder: Path) -> dict[str, tuple[int, int]]:
    """Return each record file below a folder: its relative path, time of change (ns) and size (bytes)."""
    found = {}
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                name = entry.name
                if name.endswith(".json") and not name.startswith(".") and not entry.is_dir(follow_symlinks=False):
                    state = entry.stat()
                    found[below + name] = (state.st_mtime_ns, state.st_size)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{below}{name}/")
    return found


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.name.endswith(".json") and not entry.name.startswith("."):
                yield entry


def _divided(path: str, changed: int, size: int, data: dict[str, Any]) -> tuple[Row, _Texts]:
    """Return the row and the texts of a record that is given as JSON."""
    spec, provenance = dict(data["spec"]), data["provenance"]
    cell = spec.pop("cell")
    row = Row(path, changed, size, data["cell_path"], spec["kind"], spec["number"], data["status"], data["objective"])
    # Empty mappings and lists stay: pydantic takes longer to make them from their default than to read them.
    light = data | {"spec": spec, "validation_curve": _kept(data), "train_curve": [], "predictions": None}
    body = {key: value for key, value in light.items() if value is not None and key != "provenance"}
    return row, _Texts(*(to_json(part).decode() for part in (cell, provenance, body)))


def _kept(data: Mapping[str, Any]) -> list[Any]:
    """Return the one point of the validation curve that tables ask for."""
    curve: list[Any] = data["validation_curve"]
    return [point for point in curve if point["step"] == data["best_step"]][:1] or curve[-1:]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":  # a helper of `Compact`: files on standard input, rows on standard output
    mine = Compact(Path(sys.argv[1]))
    sys.stdout.buffer.write(
        to_parquet(mine._table([(path, changed, size) for path, changed, size in json.load(sys.stdin)]))
    )
