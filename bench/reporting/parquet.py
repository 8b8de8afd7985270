"""The file of a compacted copy: Arrow tables to Parquet and back, and into lists of Python."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROW_GROUP = 5000
"""So many rows are parsed, written and read together."""
_FORMAT = b"1"
"""Raised when rows change their meaning; a copy of another format is not used."""
LIGHT = ("path", "changed", "size", "cell_path", "kind", "number", "status", "objective")
SHARED = ("cell", "provenance")
"""Texts that many rows have in common."""
COLUMNS = (*LIGHT, *SHARED, "body")
_DICTIONARY = ("cell_path", "kind", "status", *SHARED)
"""Columns of few different values."""


def type_of(column: str) -> pa.DataType:
    """Return the type of a column, by its name."""
    import pyarrow as pa

    return {"changed": pa.int64(), "size": pa.int64(), "number": pa.int64(), "objective": pa.float64()}.get(
        column, pa.string()
    )


def to_parquet(table: pa.Table) -> bytes:
    """Return the file of a table."""
    import pyarrow.parquet as pq

    table = table.replace_schema_metadata({b"promptscale": _FORMAT})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=list(_DICTIONARY), row_group_size=ROW_GROUP)
    return buffer.getvalue()


def from_parquet(data: bytes, columns: Sequence[str], as_kinds: bool = True) -> pa.Table | None:
    """Return some columns of a copy; None of one that is damaged or of another format.

    Args:
        data: the copy.
        columns: which of its columns.
        as_kinds: keep texts of few kinds as a number a row and the kinds (Arrow's dictionaries).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [name for name in _DICTIONARY if name in columns] if as_kinds else []
    try:
        file = pq.ParquetFile(io.BytesIO(data), read_dictionary=kinds)
        names = set(file.schema_arrow.names)
        if (file.schema_arrow.metadata or {}).get(b"promptscale") != _FORMAT or not set(COLUMNS) <= names:
            return None
        return file.read(list(columns))
    except (OSError, pa.ArrowException):
        return None


def lines_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """Return the rows of a table."""
    return list(zip(*(values_of(column) for column in table.columns), strict=True))


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as a list, numbers by way of NumPy, which is ten times as fast; texts of few kinds are shared."""
    import numpy as np
    import pyarrow as pa

    array = column.unify_dictionaries().combine_chunks()
    if pa.types.is_dictionary(array.type):
        texts = np.array([*array.dictionary.to_pylist(), None], dtype=object)
        indices, missing = _numbers(array.indices)
        return list(texts[np.where(missing, -1, indices)])
    if not pa.types.is_primitive(array.type):
        return list(array.to_pylist())
    numbers, missing = _numbers(array)
    values: list[Any] = numbers.tolist()
    return [None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)]


def _numbers(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and which of them are missing; Arrow's own ``to_numpy`` would import pandas, for half a second."""
    import numpy as np

    valid, data = array.buffers()
    there = slice(array.offset, array.offset + len(array))
    numbers = np.frombuffer(data, dtype=array.type.to_pandas_dtype())[there]
    if valid is None:
        return numbers, np.zeros(len(array), dtype=bool)
    return numbers, np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[there] == 0


def give_back() -> None:
    """Give memory back that Arrow keeps for its next table: with large folders half a gigabyte."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
