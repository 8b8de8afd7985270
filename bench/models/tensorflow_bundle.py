"""Tensors of a TensorFlow checkpoint (a "tensor bundle"), read without TensorFlow.

The index is a sorted table of LevelDB whose values are protocol buffers; the data file is the tensors' bytes. Sources:
https://github.com/google/leveldb/blob/main/doc/table_format.md, tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.models.wire import fields, varint

if TYPE_CHECKING:
    import numpy as np

_FOOTER = 48
_SNAPPY = 1
_FLOAT = 1
_TYPE, _SHAPE, _OFFSET, _SIZE = 1, 2, 4, 5
_SHAPE_DIM, _DIM_SIZE = 2, 1


def read_bundle(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """Return the float32 tensors of a checkpoint of one shard by name.

    Args:
        index: the file ``variables.index``.
        data: the file ``variables.data-00000-of-00001``.

    Raises:
        ValueError: the files are no such checkpoint.
    """
    import numpy as np

    found = {}
    for key, value in _table(memoryview(index)):
        entry = fields(value)
        if not key or entry[_TYPE] != [_FLOAT]:  # the empty key stands for the header; a step counter is an integer
            continue
        shape = [(fields(dim)[_DIM_SIZE] or [0])[0] for part in entry[_SHAPE] for dim in fields(part)[_SHAPE_DIM]]
        offset, size = (entry[_OFFSET] or [0])[0], (entry[_SIZE] or [0])[0]
        found[key.decode()] = np.frombuffer(data[offset : offset + size], "<f4").reshape(shape)
    return found


def _table(index: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield keys and values of a table, in order."""
    footer = index[-_FOOTER:]
    at = 0
    for _ in range(2):  # where the block of extra facts is, of which a bundle has none
        _, at = varint(footer, at)
    offset, at = varint(footer, at)
    size, at = varint(footer, at)
    for _, handle in _block(index, offset, size):
        offset, at = varint(handle, 0)
        size, at = varint(handle, at)
        yield from _block(index, offset, size)


def _block(index: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """Yield keys and values of a block: each key says how much of the one before it it begins with."""
    content = index[offset : offset + size]
    if index[offset + size] == _SNAPPY:
        content = _decompressed(content)
    restarts = int.from_bytes(content[-4:], "little")
    end = len(content) - 4 * (restarts + 1)
    key, at = b"", 0
    while at < end:
        shared, at = varint(content, at)
        own, at = varint(content, at)
        length, at = varint(content, at)
        key = key[:shared] + bytes(content[at : at + own])
        yield key, content[at + own : at + own + length]
        at += own + length


def _decompressed(content: memoryview) -> memoryview:
    import pyarrow

    size, _ = varint(content, 0)
    return memoryview(pyarrow.decompress(bytes(content), decompressed_size=size, codec="snappy", asbytes=True))
