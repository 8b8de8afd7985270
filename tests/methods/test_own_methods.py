"""What `TunedModel` does by itself for a method that says only what it trains."""

from __future__ import annotations

import pytest
import torch
from peers import pairs_of, stir

from bench.experiment.settings import Training
from bench.methods.attaching import attach
from bench.methods.base import Method, TunedModel
from bench.methods.peft_generic import Peft
from bench.models.local import Local
from bench.testing.tiny import assert_same_state, state_of, tiny_model, tiny_network, tiny_splits, tiny_tokenizer
from bench.training.step import Stepper


class Biases(Method):
    """Trains the biases of the network, and a bias on its logits at another rate."""

    cast: bool = False
    """Train in float32, whatever the network is in."""

    def attach(self, base, dataset, seed):
        return BiasesModel(base, self.cast)


class BiasesModel(TunedModel):
    def __init__(self, base, cast):
        super().__init__(base)
        self.bias = torch.nn.Parameter(torch.zeros(base.network.config.vocab_size))
        for name, parameter in base.network.named_parameters():
            if name.endswith(".bias"):
                if cast:
                    parameter.data = parameter.data.float()
                parameter.requires_grad_(True)

    def trainable(self):
        return {"logits": self.bias, **super().trainable()}

    def learning_rates(self):
        return {"logits": 10.0}

    def logits(self, batch):
        return super().logits(batch) + self.bias


def test_what_is_trained_is_saved_as_safetensors_and_comes_back_on_another_model(tmp_path):
    one, other = (attach(Biases(), tiny_model("gpt2"), tiny_splits(), 0) for _ in range(2))
    stir(one.trainable().values(), 0.3)
    one.save(tmp_path / "new")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["trained_weights.safetensors"]
    other.load(tmp_path / "new")
    for name, parameter in one.trainable().items():
        assert torch.equal(parameter, other.trainable()[name])
        assert other.trainable()[name].requires_grad


def test_weights_of_another_method_are_refused_by_name(tmp_path):
    one = attach(Biases(), tiny_model("gpt2"), tiny_splits(), 0)
    one.save(tmp_path)
    with pytest.raises(ValueError, match=r"the saved weights are other ones; .* does not match"):
        attach(Biases(), tiny_model("qwen2"), tiny_splits(), 0).load(tmp_path)


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stored", [False, True])
def test_trained_weights_of_the_base_model_come_back_bit_for_bit(stored, dtype, cast, tmp_path):
    if stored:
        tiny_network("gpt2").save_pretrained(tmp_path)
        tiny_tokenizer().save_pretrained(tmp_path)
        base = Local(path=tmp_path).load(torch.device("cpu"), dtype)
    else:
        base = tiny_model("gpt2")
        base.network.to(dtype)
    before = state_of(base.network)
    tuned = attach(Biases(cast=cast), base, tiny_splits(), 0)
    stir(tuned.trainable().values(), 0.3)
    tuned.detach()
    assert_same_state(base.network, before)


def test_biases_that_peft_trains_in_place_come_back_too():
    base = tiny_model("gpt2")
    before = state_of(base.network)
    tuned = attach(Peft(config_class="LoraConfig", r=2, bias="all"), base, tiny_splits(), 0)
    assert any(name.endswith(".bias") for name in tuned.trainable())
    stir(tuned.trainable().values(), 0.3)
    tuned.detach()
    assert_same_state(base.network, before)


def test_only_what_stands_beside_the_network_is_counted_as_added():
    tuned = attach(Biases(), tiny_model("gpt2"), tiny_splits(), 0)
    assert tuned.added_parameters() == tuned.bias.numel()
    assert TunedModel(tiny_model()).added_parameters() == 0


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_a_group_of_parameters_has_the_rate_that_its_method_says(optimizer):
    rates = {}
    for factor in (None, 1.0, 10.0):
        tuned = attach(Biases(), tiny_model("gpt2"), tiny_splits(), 0)
        tuned.learning_rates = lambda factor=factor: {} if factor is None else {"logits": factor}
        before = {name: p.detach().clone() for name, p in tuned.trainable().items()}
        encoder, pairs = pairs_of(tuned.base)
        settings = Training(max_steps=4, learning_rate=1e-3, optimizer=optimizer, max_grad_norm=None)
        step = Stepper(tuned, encoder, settings, torch.float32, 4).take(pairs)
        assert step.learning_rate == 1e-3, "a record has the rate of the setting, whatever the factors"
        rates[factor] = {name: (p - before[name]).detach() for name, p in tuned.trainable().items()}
    for name, moved in rates[None].items():
        assert torch.equal(moved, rates[1.0][name])
        torch.testing.assert_close(rates[10.0][name], moved * (10 if name == "logits" else 1), rtol=1e-3, atol=1e-7)
