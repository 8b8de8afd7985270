"""What both sides run: one model, one data set, the same batches in the same order, the same initial weights."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import torch
from torch import nn

from bench.datasets import datasets
from bench.datasets.examples import Example
from bench.experiment.settings import Training
from bench.methods import methods
from bench.methods.base import TunedModel
from bench.models import models
from bench.models.language_model import LanguageModel
from bench.runs.record import TrainStep
from bench.training.answers import Pair
from bench.training.encoding import Encoder
from bench.training.step import Stepper

DATA = ("trec6", {"train_size": 2000, "validation_size": 100, "test_size": 96})
SEED = 0


@dataclass(frozen=True)
class Work:
    """One thing to measure."""

    model: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 16
    learning_rate: float = 1e-3

    @property
    def virtual_tokens(self) -> int:
        """P, or 0."""
        return int(self.options.get("num_virtual_tokens", 0))

    @property
    def title(self) -> str:
        """The work in words."""
        length = f", P = {self.virtual_tokens}" if self.virtual_tokens else ""
        return f"{self.model}, {self.method}{length}, batch {self.batch_size}"

    @property
    def settings(self) -> Training:
        """Plain AdamW at a constant rate, as both sides run it."""
        return Training(
            learning_rate=self.learning_rate,
            lr_scheduler_type="constant",
            batch_size=self.batch_size,
            weight_decay=0.0,
            max_grad_norm=1.0,
            max_steps=1000,
        )


@cache
def load(model: str) -> LanguageModel:
    """Load a base model once; kept for all work on it."""
    load.cache_clear()  # two large models at once may not fit
    return models.build(model, {}, model).load(torch.device("cpu"), torch.float32)


class Ours:
    """Our side: a method on its base model, and the data encoded for it.

    Args:
        work: what to measure.
        data: name and options of the data set.
    """

    def __init__(self, work: Work, data: tuple[str, dict[str, int]] = DATA) -> None:
        name, options = data
        self.work = work
        self.base = load(work.model)
        dataset = datasets.build(name, options, name)
        self.splits = dataset.splits()
        self.encoder = Encoder(self.base, dataset.template, self.splits.labels)
        self.tuned = self._attach()
        self.pairs = self.encoded(self.splits.train)
        self._stepper: Stepper | None = None

    def _attach(self) -> TunedModel:
        method = methods.build(self.work.method, dict(self.work.options), self.work.method)
        tuned: TunedModel = method.attach(self.base, self.splits, SEED)
        tuned.train(True)
        return tuned

    def encoded(self, examples: Sequence[Example]) -> list[Pair]:
        """Return the tokens of examples and of their label words."""
        inputs, _ = self.encoder.inputs(examples, None)
        return [(ids, self.encoder.label_ids[one.label]) for ids, one in zip(inputs, examples, strict=True)]

    def batches(self, steps: int) -> list[list[Pair]]:
        """Draw batches in random order, as Trainer does: nothing is sorted by length."""
        order = random.Random(SEED).sample(range(len(self.pairs)), steps * self.work.batch_size)
        size = self.work.batch_size
        return [[self.pairs[i] for i in order[start : start + size]] for start in range(0, len(order), size)]

    def step(self, pairs: Sequence[Pair]) -> TrainStep:
        """Take one optimizer step, by the harness's own code."""
        if self._stepper is None:
            self._stepper = Stepper(self.tuned, self.encoder, self.work.settings, torch.float32, 1000)
        return self._stepper.take(pairs)

    def peer_network(self) -> nn.Module:
        """Return a copy of the base model under PEFT, with the weights that our side begins with."""
        from peft import LoraConfig, PromptTuningConfig, get_peft_model

        self.tuned.detach()
        network = copy.deepcopy(self.base.network)
        network.set_attn_implementation("sdpa")
        if self.work.method == "full_fine_tuning":
            network.requires_grad_(True)
            peer: Any = network
        elif self.work.method == "lora":
            config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear")
            torch.manual_seed(SEED)
            peer = get_peft_model(network, config)
        else:
            settings = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.work.virtual_tokens)
            peer = get_peft_model(network, settings)
            (prompt,) = self.tuned.trainable().values()
            with torch.no_grad():
                peer.prompt_encoder["default"].embedding.weight.copy_(prompt)
        if self.work.method != "prompt_tuning":  # detached above: our side begins anew
            self.tuned = self._attach()
        return peer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tuned.detach()
