"""Weights of ONNX files and of TensorFlow checkpoints, held against files of our own making and a peer's encoder."""

from __future__ import annotations

import numpy as np
import torch
from google.protobuf.descriptor_pb2 import UninterpretedOption
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from bench.models.encoders import state_of_checkpoint, state_of_onnx, tensorflow_name
from bench.models.onnx_file import fields, read_onnx


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
    state = state_of_onnx(message((1, 8), (7, graph)))
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], p) for name, p in network.state_dict().items())


def test_the_weights_of_a_tensorflow_checkpoint_fill_the_network():
    network = tiny_bert()
    order = sorted(network.state_dict(), key=tensorflow_name)
    # As the index of the real checkpoint has them.
    assert [tensorflow_name(name) for name in order][:10] == [
        "embeddings/LayerNorm/beta",
        "embeddings/LayerNorm/gamma",
        "embeddings/position_embeddings",
        "embeddings/token_type_embeddings",
        "embeddings/word_embeddings",
        "encoder/layer_0/attention/output/LayerNorm/beta",
        "encoder/layer_0/attention/output/LayerNorm/gamma",
        "encoder/layer_0/attention/output/dense/bias",
        "encoder/layer_0/attention/output/dense/kernel",
        "encoder/layer_0/attention/self/key/bias",
    ]
    data = b""
    for name in order:
        array = network.get_parameter(name).detach().numpy()
        data += (array.T if tensorflow_name(name).endswith("kernel") else array).tobytes()

    state = state_of_checkpoint(network, data + b"the head of BLEURT")
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], p) for name, p in network.state_dict().items())
