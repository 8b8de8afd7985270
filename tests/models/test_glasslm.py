"""The conversion of GlassLM, held against the NumPy implementation that it comes from."""

import sys
import zipfile
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.models.glasslm import GlassLM

SENTENCES = [
    "Alice was beginning to get very tired of sitting by her sister on the bank.",
    "What film starred Steve McQueen?\nType:",
    "  two spaces,\n\n and two line breaks  ",
    "the café is shut: 3 > 2",
]


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """The package itself, read out of its wheel."""
    (wheel,) = GlassLM.wheels
    folder = tmp_path_factory.mktemp("glassllm")
    with zipfile.ZipFile(wheel.fetch()) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith("glassllm/")])
    sys.path.insert(0, str(folder))
    try:
        import glassllm.model
        import glassllm.tokenizer

        found = ModuleType("peer")
        found.network = glassllm.model.GlassLM.load(folder / "glassllm/weights/en.npz")
        found.tokenizer = glassllm.tokenizer.Tokenizer.load(folder / "glassllm/weights/en.tokenizer.json")
        yield found
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def glass():
    return GlassLM().load(torch.device("cpu"), torch.float32)


def test_it_is_a_decoder_of_852608_parameters_and_128_positions(glass):
    assert (glass.kind, glass.parameters, glass.context_length) == ("causal", 852_608, 128)
    assert glass.parameters == GlassLM.parameters
    assert glass.revision == GlassLM.wheels[0].sha256
    assert glass.notes == {}


@pytest.mark.parametrize("text", SENTENCES)
def test_its_logits_are_those_of_the_numpy_model(glass, peer, text):
    ids = peer.tokenizer.encode(text)
    with torch.no_grad():
        found = glass.network(torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(found, peer.network.forward(ids).data[0], atol=1e-4)


def test_its_logits_agree_over_the_whole_context(glass, peer):
    ids = np.random.default_rng(0).integers(4, 1024, size=(2, 128))
    with torch.no_grad():
        found = glass.network(torch.from_numpy(ids)).logits.numpy()
    np.testing.assert_allclose(found, peer.network.forward(ids).data, atol=1e-4)


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text(alphabet="Alice he \n\u2581,.'e\u0301<>pads\u2047\r", max_size=60))
@example("<pad><unk><bos><eos> a <eos>")
@example("e\u0301 \u00e9 \u2581\u2581x \n \n")
@example("\x00\ud7ff\U0010ffff\u212b")
def test_any_text_has_the_same_ids_and_decodes_to_the_same_text(glass, peer, text):
    ids = peer.tokenizer.encode(text)
    assert glass.tokenizer(text)["input_ids"] == ids
    assert glass.tokenizer.decode(ids) == peer.tokenizer.decode(ids)


def test_special_tokens_are_dropped_in_decoding_if_asked(glass, peer):
    ids = [2, *peer.tokenizer.encode("Alice"), 3, 0, 0]
    assert glass.tokenizer.decode(ids, skip_special_tokens=True) == peer.tokenizer.decode(ids) == "Alice"


def test_a_batch_is_padded_on_the_right_with_the_pad_token(glass):
    batch = glass.tokenizer(["a", "a long time"], padding=True)
    assert batch["input_ids"][0][-1] == glass.tokenizer.pad_token_id == 0
    assert batch["attention_mask"][0][0] == 1
