"""Weights of an ONNX file, by name; its graph is looked at for the names alone and is never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.models.wire import fields, text

if TYPE_CHECKING:
    import numpy as np

# Field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_NAME, _NODE_TYPE = 1, 3, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_FLOAT = 1


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
            found[text(tensor[_TENSOR_NAME][0])] = values.reshape(tensor[_TENSOR_DIMS])
    for node in map(fields, graph[_GRAPH_NODE]):
        if [text(value) for value in node[_NODE_TYPE]] == ["MatMul"]:
            for name in map(text, node[_NODE_INPUT]):
                if name in found:
                    found[text(node[_NODE_NAME][0])] = found[name]
    return found
