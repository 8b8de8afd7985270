"""Weights of an ONNX file, by name; its graph is looked at for the names alone and is never run.

The file is a message of protocol buffers, of whose wire format no more is read than is needed to find tensors:
https://protobuf.dev/programming-guides/encoding. The library that reads these files whole (onnx) is no dependency.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_NAME, _NODE_TYPE = 1, 3, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_FLOAT = 1
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


def read_onnx(content: bytes) -> dict[str, np.ndarray]:
    """Return the float32 tensors of an ONNX file.

    Args:
        content: the file.

    Returns:
        a tensor that has a name of its own under that; a nameless one that a matrix product multiplies with under
        the name of its node, which says where in the network it stands: ``/encoder/layer.0/query/MatMul``.
    """
    import numpy as np

    graph = fields(fields(memoryview(content))[_MODEL_GRAPH][0])
    found = {}
    for tensor in map(fields, graph[_GRAPH_INITIALIZER]):
        if tensor[_TENSOR_TYPE] == [_FLOAT]:
            values = np.frombuffer(tensor[_TENSOR_RAW][0], "<f4")
            found[_text(tensor[_TENSOR_NAME][0])] = values.reshape(tensor[_TENSOR_DIMS])
    for node in map(fields, graph[_GRAPH_NODE]):
        if [_text(value) for value in node[_NODE_TYPE]] == ["MatMul"]:
            for name in map(_text, node[_NODE_INPUT]):
                if name in found:
                    found[_text(node[_NODE_NAME][0])] = found[name]
    return found


def _text(value: memoryview) -> str:
    return bytes(value).decode()
