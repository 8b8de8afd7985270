"""The wire format of protocol buffers, which ONNX files and TensorFlow checkpoints are written in.

Of it no more than is needed to find tensors: https://protobuf.dev/programming-guides/encoding. The libraries that read
these files whole (onnx, tensorflow) weigh more than everything else that this package needs.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

_FIXED = {1: 8, 5: 4}
"""Bytes of a value of fixed width, by wire type."""


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at ``at``, seven bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data: memoryview) -> defaultdict[int, list[Any]]:
    """Return the values of a message by field number, in the order of the file; of a field that is not there, none.

    Numbers of variable width come as they stand, unsigned; texts, messages and values of fixed width as their bytes.

    Raises:
        ValueError: the bytes are no message.
    """
    found: defaultdict[int, list[Any]] = defaultdict(list)
    at = 0
    try:
        while at < len(data):
            key, at = varint(data, at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value, at = varint(data, at)
                found[number].append(value)
                continue
            length, at = varint(data, at) if kind == 2 else (_FIXED[kind], at)
            if at + length > len(data):
                raise IndexError
            found[number].append(data[at : at + length])
            at += length
    except (IndexError, KeyError) as error:
        raise ValueError("not a message in the wire format of protocol buffers") from error
    return found


def text(value: memoryview) -> str:
    """Return a field's bytes as text."""
    return bytes(value).decode()
