"""Weights of ONNX files and of TensorFlow checkpoints, held against files of our own making and a peer's encoder."""

from __future__ import annotations

import numpy as np
import pyarrow
import pytest
import torch
from google.protobuf.descriptor_pb2 import UninterpretedOption
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from bench.models import bert_tiny, sentence_encoders
from bench.models.onnx_file import read_onnx
from bench.models.tensorflow_bundle import read_bundle
from bench.models.wire import fields, varint


def number(value: int) -> bytes:
    """Encode a number: seven bits a byte, lowest first."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(*pairs: tuple[int, int | str | bytes]) -> bytes:
    """Encode a message of numbers, texts and messages."""
    out = b""
    for key, value in pairs:
        if isinstance(value, int):
            out += number(key << 3) + number(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += number(key << 3 | 2) + number(len(value)) + value
    return out


@given(text=st.text(), count=st.integers(0, 2**64 - 1), real=st.floats(allow_nan=False), raw=st.binary())
def test_a_message_is_read_as_the_library_of_protocol_buffers_wrote_it(text, count, real, raw):
    written = UninterpretedOption(
        identifier_value=text, positive_int_value=count, double_value=real, string_value=raw, aggregate_value="x"
    ).SerializeToString()
    found = fields(memoryview(written))
    assert bytes(found[3][0]).decode() == text
    assert found[4] == [count]
    assert np.frombuffer(found[6][0], "<f8")[0] == real
    assert bytes(found[7][0]) == raw
    assert found[1] == []


@given(st.binary(max_size=40))
@example(b"\xff" * 12)
@example(b"\x0a\x05ab")
@example(b"\x0b")
def test_any_bytes_are_read_as_a_message_or_refused(content):
    try:
        found = fields(memoryview(content))
    except ValueError:
        return
    assert sum(map(len, found.values())) <= len(content)


@given(st.integers(0, 2**70))
def test_a_number_ends_where_the_next_one_begins(value):
    written = number(value) + number(7)
    found, at = varint(memoryview(written), 0)
    assert (found, varint(memoryview(written), at)) == (value, (7, len(written)))


def tiny_bert(**options) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=16,
    )  # fmt: skip
    network = BertModel(config, **options).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network


def tensor(name: str, array: np.ndarray) -> bytes:
    return message(*((1, size) for size in array.shape), (2, 1), (8, name), (9, array.astype("<f4").tobytes()))


def test_the_weights_of_an_exported_encoder_fill_the_network_that_was_exported():
    network = tiny_bert(add_pooling_layer=False)
    tensors, nodes = [tensor("step", np.ones(()))], [message((4, "Relu"), (1, "x"), (3, "/relu"))]
    for i, (name, parameter) in enumerate(network.state_dict().items()):
        module, _, last = name.rpartition(".")
        if isinstance(network.get_submodule(module), torch.nn.Linear) and last == "weight":
            tensors.append(tensor(f"onnx::MatMul_{i}", parameter.numpy().T))
            path = "/model/model.0/auto_model/" + module.replace(".", "/").replace("layer/", "layer.")
            nodes.append(message((1, "hidden"), (1, f"onnx::MatMul_{i}"), (3, f"{path}/MatMul"), (4, "MatMul")))
        else:
            tensors.append(tensor(f"model.0.auto_model.{name}", parameter.numpy()))
    graph = message(*((1, node) for node in nodes), *((5, each) for each in tensors))

    assert read_onnx(message((1, 8), (7, graph)))["step"] == 1
    state = sentence_encoders.bert_state(message((1, 8), (7, graph)))
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], p) for name, p in network.state_dict().items())


def block(pairs: list[tuple[bytes, bytes]], compressed: bool) -> bytes:
    """Write a block of a table, every fourth key whole, with its kind and a checksum that nobody reads."""
    out, restarts, before = b"", [], b""
    for i, (key, value) in enumerate(pairs):
        shared = 0
        if i % 4 == 0:
            restarts.append(len(out))
        else:
            shared = next((n for n, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), len(before))
        out += number(shared) + number(len(key) - shared) + number(len(value)) + key[shared:] + value
        before = key
    out += b"".join(at.to_bytes(4, "little") for at in [*restarts, len(restarts)])
    if compressed:
        out = pyarrow.compress(out, codec="snappy", asbytes=True)
    return out + bytes([compressed]) + b"\0\0\0\0"


def bundle(tensors: dict[str, np.ndarray], compressed: bool) -> tuple[bytes, bytes]:
    """Write a checkpoint: several blocks of keys in order, the block that says where they are, the footer."""
    entries, data = [(b"", message((1, 1)))], b""
    for name, array in sorted(tensors.items()):
        raw = array.tobytes()
        shape = message(*((2, message((1, size))) for size in array.shape))
        kind = 1 if array.dtype == np.float32 else 9
        # Zero is never written: an offset of 0 is left out.
        where = [(4, len(data))] if data else []
        entries.append((name.encode(), message((1, kind), (2, shape), *where, (5, len(raw)))))
        data += raw
    index, handles = b"", []
    for at in range(0, len(entries), 10):
        part = block(entries[at : at + 10], compressed)
        handles.append((entries[at : at + 10][-1][0], number(len(index)) + number(len(part) - 5)))
        index += part
    last = block(handles, False)
    where = number(0) + number(0) + number(len(index)) + number(len(last) - 5)
    return index + last + where.ljust(40, b"\0") + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", data


def tensorflow_name(name: str) -> str:
    last = name.rpartition(".")[2]
    if "LayerNorm" in name:
        name = name.replace("weight", "gamma").replace("bias", "beta")
    elif "embeddings" in name:
        name = name.removesuffix(".weight")
    elif last == "weight":
        name = name.removesuffix("weight") + "kernel"
    return "bert/" + name.replace("layer.", "layer_").replace(".", "/")


@pytest.mark.parametrize("compressed", [False, True])
def test_the_weights_of_a_tensorflow_checkpoint_fill_the_network(compressed):
    network = tiny_bert()
    tensors = {"global_step": np.array(3), "dense/kernel": np.ones((8, 1), np.float32)}
    for name, parameter in network.state_dict().items():
        array = parameter.numpy()
        tensors[tensorflow_name(name)] = array.T if tensorflow_name(name).endswith("kernel") else array

    found = read_bundle(*bundle(tensors, compressed))
    assert found.keys() == tensors.keys() - {"global_step"}
    state = bert_tiny.bert_state(found)
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], p) for name, p in network.state_dict().items())
