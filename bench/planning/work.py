"""What decides what a pass takes, and its batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.datasets.splits import Splits
from bench.experiment.settings import Training
from bench.forward.batch import evaluation_batches
from bench.methods.base import Method
from bench.models.language_model import LanguageModel
from bench.planning.weightless import built
from bench.training.answers import Pair
from bench.training.batching import planned_steps, training_batches
from bench.training.encoding import Encoder


@dataclass(frozen=True)
class Work:
    """A model, a method and data with the settings of a training."""

    name: str
    """Of the model, in messages."""
    fields: Mapping[str, Any]
    """Of the model's ``config.json``."""
    method: Method
    splits: Splits
    tokenizer: Any
    settings: Training
    dtype: torch.dtype
    checkpointing: bool = False
    seed: int = 0
    """Seeds the order of the data, as a trial's does."""

    def with_settings(self, **changes: Any) -> Work:
        """Return the work with other training settings."""
        return replace(self, settings=self.settings.model_copy(update=changes))

    def in_smallest_passes(self) -> Work:
        """Return the work in passes of one example. Two passes stand for all: later ones add nothing to the peak."""
        two = min(2, self.settings.batch_size)
        return self.with_settings(batch_size=two, gradient_accumulation_steps=two, eval_batch_size=1)

    def base(self, fields: Mapping[str, Any] | None = None) -> LanguageModel:
        """Return the model on the meta device, or that of another configuration."""
        base = built(self.name, self.fields if fields is None else fields)
        base.network.to(dtype=self.dtype)  # type: ignore[call-arg]
        base.tokenizer = self.tokenizer
        return base

    def encoder(self, base: LanguageModel) -> Encoder:
        """Return the encoder of the data for a model, on the CPU."""
        encoder = Encoder(base, self.splits.template, self.splits.labels, self.splits.answer)
        encoder.device = torch.device("cpu")
        return encoder


def batches_trained(work: Work, encoder: Encoder) -> tuple[list[Pair], float]:
    """Return the batch of a training with most tokens, and the mean tokens of a batch by those in it."""
    room = encoder.room(int(work.method.options().get("num_virtual_tokens") or 0), work.settings.max_length)
    pairs, _ = encoder.pairs(work.splits.train, room)
    lengths = [len(ids) + len(label) for ids, label in pairs]
    steps = planned_steps(work.settings, len(pairs))
    batches = training_batches(lengths, work.settings.batch_size, steps, work.seed, work.settings.group_by_length)
    tokens = [sum(lengths[i] for i in batch) for batch in batches]
    largest = max(range(steps), key=tokens.__getitem__)
    return [pairs[i] for i in batches[largest]], sum(tokens) / steps / tokens[largest]


def batches_evaluated(work: Work, encoder: Encoder, room: int | None) -> tuple[list[Pair], float]:
    """Return the longest batch of an evaluation, and the mean tokens of an example by those of the examples in it.

    It is that of the validation split, as `bench.training.evaluation.Scorer` makes it.
    """
    inputs, _ = encoder.inputs(work.splits.validation, room)
    lengths, size = [len(ids) for ids in inputs], work.settings.eval_batch_size
    examples = work.splits.validation
    single = encoder.single_token_labels
    answers = [encoder.label_ids[:1] if single else encoder.candidates(example, room) for example in examples]
    longest = evaluation_batches(lengths, max(1, size // max(map(len, answers), default=1)))[0]
    share = sum(lengths) / len(lengths) / (sum(lengths[i] for i in longest) / len(longest))
    return [(inputs[i], ids) for i in longest for ids in answers[i]], share
