"""Weights stay in their file until somebody writes to them, and the file stays as it is."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bench.models.loading import MAPPED, map_weights
from bench.models.local import Local
from bench.testing.tiny import tiny_network, tiny_tokenizer


@pytest.fixture(params=["llama", "gpt2", "t5"])
def folder(request, tmp_path):
    tiny_network(request.param).save_pretrained(tmp_path)
    tiny_tokenizer(eos=request.param == "t5").save_pretrained(tmp_path)
    return tmp_path


def mapped_addresses(folder: Path) -> list[range]:
    lines = Path("/proc/self/maps").read_text().splitlines()
    ends = (line.split()[0].split("-") for line in lines if line.endswith(str(folder / MAPPED)))
    return [range(int(low, 16), int(high, 16)) for low, high in ends]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not list its mappings")
def test_every_parameter_lies_in_the_mapped_file(folder):
    network = Local(path=folder).load(torch.device("cpu"), torch.float32).network
    places = mapped_addresses(folder)
    assert places
    for name, parameter in network.named_parameters():
        assert any(parameter.data_ptr() in place for place in places), name


def test_tied_weights_stay_tied_and_a_write_does_not_reach_the_file(folder):
    network = Local(path=folder).load(torch.device("cpu"), torch.float32).network
    stored = load_file(folder / MAPPED)
    tied = [network.get_input_embeddings().weight, network.get_output_embeddings().weight]
    assert (tied[0] is tied[1]) == network.config.tie_word_embeddings

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)

    again = load_file(folder / MAPPED)
    assert all(torch.equal(stored[name], again[name]) for name in stored)


def test_a_file_that_holds_other_weights_is_not_mapped(folder):
    network = Local(path=folder).load(torch.device("cpu"), torch.float32).network
    with torch.no_grad():
        next(network.parameters()).add_(1)
    before = {name: p.clone() for name, p in network.named_parameters()}

    assert not map_weights(network, folder)
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not list its mappings")
def test_an_encoder_that_was_saved_without_a_head_lies_in_its_file_but_for_the_head(tmp_path):
    tiny_network("bert").base_model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    base = Local(path=tmp_path).load(torch.device("cpu"), torch.float32)
    places = mapped_addresses(tmp_path)
    for name, parameter in base.network.named_parameters():
        assert any(parameter.data_ptr() in place for place in places) == (name not in base.head.fresh), name
