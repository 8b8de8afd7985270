"""CSV, TSV, JSON, JSON Lines and Parquet files, read as text; every row knows its place for error messages.

Nothing guesses types: ``NA``, ``007`` and ``1e5`` in a CSV stay what they are. The standard library's strict CSV and
JSON readers serve, not pandas: its CSV reader fills short rows, takes a longer row's first cell for an index, renames a
column that is there twice and accepts text behind a closing quote, each without a word, and its JSON and Parquet
readers turn a column of whole numbers in which one is missing into fractions.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput, did_you_mean, one_line
from bench.core.packages import cached_sha256

Placed = tuple[str, dict[str, str]]
"""A row: its place, such as ``"reviews.csv, row 17"``, and its columns."""


def read_table(path: str) -> Iterator[Placed]:
    """Yield the rows of a file, whose suffix says what it is.

    Rows of CSV are counted as a spreadsheet does, the header being row 1; JSON Lines by line;
    JSON and Parquet from row 1.

    Raises:
        BadInput: a file that is missing, of unknown kind, empty or broken; with the row where there is one.
    """
    try:
        file = Path(path).expanduser()
        folder = file.is_dir()
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"{path!r:.200}: no path of a file: {one_line(error, 100)}") from None
    if folder:
        raise BadInput(f"{path}: is a folder, and a file is needed")
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise BadInput(f"{path}: unknown kind of file{did_you_mean(file.suffix.lower(), _READERS)}")
    empty = True
    try:
        for place, row in reader(file):
            empty = False
            if not isinstance(row, dict):
                raise _Broken(f'{place}: expected an object such as {{"text": ..., "label": ...}}')
            yield f"{path}, {place}", {name: as_text(value) for name, value in row.items()}
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; a path is relative to the folder in which you run the command") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except ValueError as error:  # a path with a NUL
        raise BadInput(f"{path!r}: cannot be read: {error}") from None
    except _Broken as error:
        raise BadInput(f"{path}, {error}") from None
    if empty:
        raise BadInput(f"{path}: there are no rows in it")


def as_text(value: Any) -> str:
    """Return a value of JSON, Parquet or Arrow as text: what is missing, NaN too, is empty, true is ``true``."""
    if value is None or value != value:
        return ""
    known = isinstance(value, bool | int | float | list | dict)
    text = json.dumps(value, ensure_ascii=False, default=str) if known else str(value)
    # JSON can escape half a surrogate pair, which is no character and cannot be encoded.
    return text.encode(errors="replace").decode()


def local_sha256(path: str) -> str:
    """Return the sha256 of a file, or nothing for one that cannot be read: reading it says what is wrong."""
    try:
        return cached_sha256(Path(path).expanduser())
    except (OSError, ValueError, RuntimeError):
        return ""


class _Broken(Exception):
    """Place and reason of a row that cannot be read."""


def _csv(file: Path, delimiter: str = ",") -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(2**31 - 1)  # a long text is cut to the context later; it is no error
    # utf-8-sig: spreadsheets begin a file with a byte order mark, which is no part of the first column's name.
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        number = 1
        try:
            header = next(reader, [])
            if len(header) == 1 and set(";\t,") & set(header[0]):
                raise _Broken(f"row 1: one column, {header[0]!r}; columns are divided by {delimiter!r}")
            if len(set(header)) < len(header):
                twice = next(name for name in header if header.count(name) > 1)
                raise _Broken(f"row 1: the column '{twice}' is there twice")
            for number, cells in enumerate(reader, start=2):
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise _Broken(f"row {number}: {len(cells)} cells, but the header has {len(header)}")
                yield f"row {number}", dict(zip(header, cells, strict=True))
        except csv.Error as error:
            hint = '; within quotes a quote is written twice ("")' if "expected after" in str(error) else ""
            raise _Broken(f"row {number + 1}: {error}{hint}") from None


def _json_lines(file: Path) -> Iterator[tuple[str, Any]]:
    with file.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise _Broken(f"line {number}: not JSON: {error.msg} at character {error.pos + 1}") from None
            except (RecursionError, ValueError) as error:  # nested too deeply; an integer of too many digits
                raise _Broken(f"line {number}: {error}") from None
            yield f"line {number}", row


def _json(file: Path) -> Iterator[tuple[str, Any]]:
    """Read an array of objects."""
    text = file.read_text(encoding="utf-8-sig")
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        # One object a line is what many tools write under this name.
        lines = text.lstrip().startswith("{") and error.msg == "Extra data"
        hint = "; a file of one object a line is called .jsonl" if lines else ""
        raise _Broken(f"line {error.lineno}: not JSON: {error.msg} at character {error.colno}{hint}") from None
    except (RecursionError, ValueError) as error:  # nested too deeply; an integer of too many digits
        raise _Broken(f"line 1: {error}") from None
    if not isinstance(rows, list):
        raise _Broken('line 1: expected an array of objects such as [{"text": ..., "label": ...}, ...]')
    yield from ((f"row {number}", row) for number, row in enumerate(rows, start=1))


def _parquet(file: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(file).to_pylist()
    except (pyarrow.ArrowException, OverflowError) as error:  # OverflowError: a date beyond the year 9999
        raise _Broken(f"row 1: cannot be read as Parquet: {one_line(error, 200)}") from None
    yield from ((f"row {number}", row) for number, row in enumerate(rows, start=1))


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Any]]]] = {
    ".csv": _csv,
    ".tsv": partial(_csv, delimiter="\t"),
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
