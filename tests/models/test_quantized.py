"""Base weights in 4 or 8 bits: what is asked of transformers, what is refused, and that nothing else changes.

bitsandbytes is no part of the test environment; where it is installed, a tiny model is quantised by it.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from plugin import write_tiny_model
from torch import nn
from transformers import AutoModelForCausalLM, BertConfig, BertModel

from bench.api import plan
from bench.core.errors import BadInput, Infeasible
from bench.experiment import expansion
from bench.experiment.feasibility import infeasible
from bench.forward.counting import weights_in
from bench.methods.attaching import attach
from bench.methods.full_fine_tuning import FullFineTuning
from bench.methods.lora import Lora
from bench.models import loading
from bench.models.local import Local
from bench.testing.tiny import tiny_model, tiny_splits
from bench.training.session import Session


def planned(tmp_path, model="model", **options):
    (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(f"w {i},{'ab'[i % 2]}" for i in range(40)))
    table = {"path": str(tmp_path / "data.csv"), "validation_size": 4, "test_size": 8}
    return plan(
        {
            "name": "q",
            "models": [{"local": {"path": str(tmp_path / model), **options}}],
            "datasets": [{"local": table}],
            "methods": ["lora"],
        }
    ).cells[0]


@pytest.fixture
def there(monkeypatch):
    """As if bitsandbytes were installed."""
    monkeypatch.setattr(expansion, "find_spec", lambda name: name)


def test_without_bitsandbytes_it_is_refused_in_one_line(tmp_path, monkeypatch):
    write_tiny_model(tmp_path / "model")
    monkeypatch.setattr(expansion, "find_spec", lambda name: None)
    with pytest.raises(BadInput) as refused:
        planned(tmp_path, load_in_4bit=True)
    assert str(refused.value) == (
        "experiment: models[0].local.load_in_4bit: needs bitsandbytes, which is not installed; "
        "pip install 'promptscale[quantized]'"
    )


def test_two_precisions_of_the_same_weights_are_refused(tmp_path):
    with pytest.raises(BadInput, match="two precisions of the same weights; choose one"):
        planned(tmp_path, load_in_4bit=True, load_in_8bit=True)


def test_a_model_that_is_not_quantised_has_the_hash_that_it_always_had(tmp_path, there):
    write_tiny_model(tmp_path / "model")
    plain, four, eight = (
        planned(tmp_path, **options) for options in ({}, {"load_in_4bit": True}, {"load_in_8bit": True})
    )
    assert not {"load_in_4bit", "load_in_8bit"} & set(plain.model.options)
    assert planned(tmp_path, load_in_4bit=False).hash == plain.hash
    assert len({plain.hash, four.hash, eight.hash}) == 3
    assert four.model.options["load_in_4bit"] is True


@pytest.mark.parametrize("bits", [4, 8])
def test_transformers_is_asked_for_so_many_bits_on_the_device(tmp_path, monkeypatch, bits):
    write_tiny_model(tmp_path / "model")
    asked = {}
    real = AutoModelForCausalLM.from_pretrained

    def pretend(folder, **options):
        asked.update(quantization_config=options.pop("quantization_config"), device_map=options.pop("device_map"))
        return real(folder, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", pretend)
    monkeypatch.setattr(loading, "version", lambda name: "0.50.2")
    source = Local(path=tmp_path / "model", **{f"load_in_{bits}bit": True})
    model = source.load(torch.device("cpu"), torch.bfloat16)
    config = asked["quantization_config"]
    assert (config.load_in_4bit, config.load_in_8bit) == (bits == 4, bits == 8)
    if bits == 4:
        assert (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == ("nf4", True)
        assert config.bnb_4bit_compute_dtype is torch.bfloat16
    assert asked["device_map"] == {"": torch.device("cpu")}
    assert model.notes["quantized"] == f"linear layers in {bits} bits by bitsandbytes 0.50.2"


def test_a_packed_parameter_counts_as_what_it_was_packed_from():
    packed = nn.Parameter(torch.zeros(32, 1, dtype=torch.uint8), requires_grad=False)
    packed.quant_state = SimpleNamespace(shape=torch.Size([8, 8]))
    assert weights_in(packed) == 64
    assert weights_in(nn.Parameter(torch.zeros(3, 4))) == 12


def test_what_trains_quantised_weights_is_infeasible_and_what_leaves_them_is_not():
    base = tiny_model("llama")
    layer = base.network.model.layers[0].mlp.up_proj
    layer.weight = nn.Parameter(torch.zeros_like(layer.weight, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(Infeasible, match=r"quantised weights cannot be trained \(model.layers.0.mlp.up_proj.weight\)"):
        attach(FullFineTuning(), base, tiny_splits(), 0)
    assert layer.weight.dtype == torch.uint8
    attach(FullFineTuning(last_layers=1), base, tiny_splits(), 0).detach()


def test_a_trial_without_cuda_is_infeasible(tmp_path, there):
    write_tiny_model(tmp_path / "model")
    cell = planned(tmp_path, load_in_8bit=True)
    with pytest.raises(Infeasible, match="load_in_8bit: needs a CUDA device; this trial runs on cpu"):
        Session().base(cell.model_copy(update={"runtime": cell.runtime.model_copy(update={"device": "cpu"})}))


def test_an_encoder_is_known_to_be_infeasible_before_anything_runs(tmp_path, there):
    write_tiny_model(tmp_path / "model")
    assert infeasible(planned(tmp_path, load_in_4bit=True), tiny_splits()) is None
    config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(tmp_path / "bert")
    (tmp_path / "bert/tokenizer.json").write_bytes((tmp_path / "model/tokenizer.json").read_bytes())
    Local(path=tmp_path / "bert").check()
    assert infeasible(planned(tmp_path, "bert", load_in_4bit=True), tiny_splits()) == (
        "load_in_4bit: an encoder is not quantised"
    )


@pytest.mark.parametrize("bits", [4, 8])
def test_bitsandbytes_itself_quantises_and_an_adapter_comes_off_without_a_trace(tmp_path, bits):
    pytest.importorskip("bitsandbytes")
    write_tiny_model(tmp_path / "model")
    plain = Local(path=tmp_path / "model").load(torch.device("cpu"), torch.float32)
    model = Local(path=tmp_path / "model", **{f"load_in_{bits}bit": True}).load(torch.device("cpu"), torch.float32)
    assert model.parameters == plain.parameters
    before = {name: value.clone() for name, value in model.network.state_dict().items() if torch.is_tensor(value)}
    tuned = attach(Lora(), model, tiny_splits(), 0)
    assert tuned.added_parameters() == sum(p.numel() for p in tuned.trainable().values())
    tuned.detach()
    after = model.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    with pytest.raises(Infeasible, match="quantised weights cannot be trained"):
        attach(FullFineTuning(), model, tiny_splits(), 0)
