"""The contract that plug-in authors test against: the built-ins keep it, and it notices who does not."""

from __future__ import annotations

import inspect

import pytest
import torch

from bench.core.distributions import Float
from bench.core.errors import BadInput
from bench.methods import methods
from bench.methods.base import Method, TunedModel
from bench.testing import MethodContract

# What a method cannot do without, and families that have what it looks for: Llama has no biases.
OPTIONS = {"peft": {"config_class": "LoHaConfig", "r": 2}}
FAMILY = {"bitfit": "gpt2"}

# Encoders, one method of each way to keep and train a head.
ENCODERS = {
    "prompt_tuning": ("bert", {}),
    "p_tuning": ("distilbert", {}),
    "prefix_tuning": ("roberta", {}),
    "lora": ("distilbert", {}),
    "bitfit": ("bert", {}),
    "full_fine_tuning": ("bert", {"last_layers": 1}),
}


def _hold(name, family, options):
    """Make a class of a built-in, as a plug-in author writes one: pytest finds it by its name."""
    body = {"method": methods.get(name)(**options), "family": family}
    held = type(f"Test_{name}_{family}", (MethodContract,), body)
    globals()[held.__name__] = held


for _name in methods.names():
    _hold(_name, FAMILY.get(_name, "llama"), OPTIONS.get(_name, {}))
for _name, (_family, _options) in ENCODERS.items():
    _hold(_name, _family, _options)


class Bias(Method):
    """A bias on the logits of the vocabulary: the smallest method, and the ways to get it wrong."""

    rate: float = 0.01
    """Unused."""

    def search_space(self):
        return {"learning_rate": Float(low=1e-4, high=1e-1, log=True)}

    def attach(self, base, dataset, seed):
        return Biased(base)


class Biased(TunedModel):
    def __init__(self, base):
        super().__init__(base)
        self.bias = torch.nn.Parameter(torch.zeros(base.network.config.vocab_size))

    def trainable(self):
        return {"bias": self.bias}

    def logits(self, batch):
        return super().logits(batch) + self.bias


class TestBias(MethodContract):
    method = Bias()


class Unclean(Biased):
    """Leaves a mark in the base model."""

    def detach(self):
        super().detach()
        next(self.base.network.parameters()).data[0] += 1e-3


class Greedy(Biased):
    """Changes a weight that it does not declare."""

    def after_step(self, step):
        next(self.network.parameters()).data.mul_(1.01)


class Idle(Biased):
    """Declares what it does not train."""

    def __init__(self, base):
        super().__init__(base)
        self.more = torch.nn.Parameter(torch.zeros(3))

    def trainable(self):
        return {"bias": self.bias, "more": self.more}


class Forgetful(Biased):
    """Saves half of what it trained."""

    def load(self, folder):
        super().load(folder)
        self.bias.data[::2] = 0


class Random(Biased):
    """Begins elsewhere whenever it is attached, whatever the seed."""

    def __init__(self, base):
        super().__init__(base)
        self.bias.data = torch.randn(self.bias.shape, generator=torch.Generator().manual_seed(id(self) % 2**31))


class Miscounted(Biased):
    """Adds what it does not count."""

    def added_parameters(self):
        return 0


class Neighbourly(Biased):
    """Answers by its place in the batch."""

    def logits(self, batch):
        found = super().logits(batch)
        return found + 0.1 * torch.arange(len(found))[:, None] * torch.arange(found.shape[1])


def contract(tuned, **fields):
    """Return the contract of a method that attaches ``tuned``."""
    body = {"attach": lambda self, base, dataset, seed: tuned(base), "__doc__": "Broken.", **fields}
    return type("Broken", (MethodContract,), {"method": type("BrokenMethod", (Bias,), body)()})()


@pytest.mark.parametrize(
    ("tuned", "test"),
    [
        (Unclean, "test_the_base_model_comes_back_bit_for_bit"),
        (Greedy, "test_training_changes_what_is_declared_and_nothing_else"),
        (Idle, "test_training_changes_what_is_declared_and_nothing_else"),
        (Forgetful, "test_what_is_saved_gives_the_same_logits_on_another_model"),
        (Random, "test_the_same_seed_gives_the_same_run"),
        (Miscounted, "test_its_counts_add_up"),
        (Neighbourly, "test_an_answer_does_not_depend_on_its_neighbours"),
        (lambda base: None, "test_its_counts_add_up"),
    ],
)
def test_a_method_that_breaks_the_contract_is_noticed(tuned, test, tmp_path):
    check = getattr(contract(tuned), test)
    with pytest.raises((AssertionError, TypeError)):
        check(tmp_path) if "tmp_path" in inspect.signature(check).parameters else check()


@pytest.mark.parametrize("name", ["no_such_field", "rate"])
def test_a_search_space_that_cannot_be_is_noticed(name):
    space = {name: Float(low=0.5, high=1.0)}
    broken = contract(Biased, search_space=lambda self: space)
    with pytest.raises((BadInput, AssertionError), match=name):
        broken.test_its_search_space_is_valid()
