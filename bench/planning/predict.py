"""What one training step and one evaluation pass of a configuration take, from its model's configuration alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.core.errors import BadInput, BenchError
from bench.datasets.base import Splits
from bench.experiment.settings import Training
from bench.forward.batch import evaluation_batches
from bench.forward.checkpointing import checkpointed
from bench.methods.attaching import attach
from bench.methods.base import Method, TunedModel
from bench.models.base import LanguageModel
from bench.models.kinds import Kind
from bench.planning.fake import attach_fake, cycle, depth, read_as_zero, with_layers
from bench.planning.padded import PaddedStepper, PaddedWay
from bench.planning.parameters import parameters_of
from bench.planning.trace import Traced, trace_evaluation, trace_training
from bench.planning.weightless import ReadsAsZero, built
from bench.runs.record import Parameters
from bench.training.batching import training_batches
from bench.training.encoding import Encoder, Pair
from bench.training.optimization import planned_steps
from bench.training.step import Stepper

ALL_TRACED = 8
"""Layers up to which a model is traced whole; of deeper ones two shallow copies, on a line."""


@dataclass(frozen=True)
class Work:
    """What decides what a pass takes."""

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


@dataclass(frozen=True)
class Prediction:
    """What a configuration takes."""

    parameters: Parameters
    step: Traced | None
    """The training step with most tokens; None where nothing is trained."""
    padded: Traced | None
    """The same as PEFT runs it; None where that is how we run it."""
    evaluation: Traced
    """The longest pass of an evaluation."""
    steps: int
    tokens: float
    """Mean tokens of a step by those of the step that was traced."""
    evaluated: int
    """Examples of that pass."""
    answer: int
    """Passes that a generated answer takes."""
    way: str
    """See `bench.forward.pathway.Pathway`."""
    layers_of_model: int
    layers: tuple[int, ...]
    """Layers of the copies that were traced; one number is the model itself."""

    @property
    def peak(self) -> float:
        """Live tensor bytes at the highest moment of training and evaluation."""
        held = self.step.bytes["optimizer"] if self.step else 0
        return max(self.step.peak if self.step else 0, self.evaluation.peak + held)


@dataclass(frozen=True)
class _Traces:
    step: Traced | None
    padded: Traced | None
    evaluation: Traced
    way: str
    trainable: int

    def extended(self, longer: _Traces, factor: float) -> _Traces:
        def on(one: Traced | None, other: Traced | None) -> Traced | None:
            return one.extended(other, factor) if one and other else None

        evaluation = self.evaluation.extended(longer.evaluation, factor)
        trainable = self.trainable + round(factor * (longer.trainable - self.trainable))
        return _Traces(on(self.step, longer.step), on(self.padded, longer.padded), evaluation, self.way, trainable)


def predict(work: Work, whole: bool = False, beside: bool = True) -> Prediction:
    """Predict what a configuration takes.

    Args:
        work: the configuration.
        whole: trace all layers, however many.
        beside: trace PEFT's way too.

    Raises:
        BadInput: what cannot be traced.
        Infeasible: this model cannot run this configuration.
    """
    with ReadsAsZero():  # type: ignore[no-untyped-call]
        parameters = parameters_of(attach(work.method, _base(work, work.fields), work.splits, work.seed))
    every = depth(work.fields)
    step = cycle(work.fields)
    shallow = max(4, step) if step else every
    layers: tuple[int, ...] = (every,)
    if not whole and step and every > max(ALL_TRACED, shallow + step):
        layers = (shallow, shallow + max(2, step))
        factor = (every - layers[0]) / (layers[1] - layers[0])
        found = _traced(work, layers[0], beside).extended(_traced(work, layers[1], beside), factor)
        if found.trainable != parameters.trainable:  # not the same in every layer
            layers = (every,)
    if len(layers) == 1:
        found = _traced(work, None, beside)
    encoder = _encoder(work, _base(work, work.fields))
    steps, mean, _ = _training(work, encoder, found.trainable)
    labels = 1 if encoder.single_token_labels else len(encoder.label_ids)
    return Prediction(
        parameters,
        found.step,
        found.padded,
        found.evaluation,
        steps,
        mean,
        evaluated=min(len(work.splits.validation), max(1, work.settings.eval_batch_size // labels)),
        answer=max(map(len, encoder.label_ids)) + 1 if encoder.generates else 0,
        way=found.way,
        layers_of_model=every,
        layers=layers,
    )


def _traced(work: Work, layers: int | None, beside: bool) -> _Traces:
    """Trace a model, or a copy with fewer layers."""
    base = _base(work, work.fields if layers is None else with_layers(work.fields, layers))
    try:
        tuned = attach_fake(work.method, base, work.splits, work.seed)
        encoder = _encoder(work, base)
        trainable = sum(parameter.numel() for parameter in tuned.trainable().values())
        room = encoder.room(tuned.virtual_tokens, work.settings.max_length)
        step = padded = None
        with ExitStack() as stack:
            if work.checkpointing:
                stack.enter_context(checkpointed(base.network))
            way = tuned.pathway.name
            evaluation = trace_evaluation(tuned, encoder, _evaluated(work, encoder, room))
            if trainable:
                _, _, pairs = _training(work, encoder, trainable)
                step = _step(Stepper, work, tuned, encoder, pairs)
                if beside and base.kind is Kind.CAUSAL:
                    tuned.__dict__["pathway"] = PaddedWay(tuned.network, "padded")
                    if way == "packed":
                        tuned.network.set_attn_implementation("sdpa")
                    padded = _step(PaddedStepper, work, tuned, encoder, pairs)
    except BenchError:
        raise
    except Exception as error:  # whatever a family or a plug-in does that has no answer without values
        what = str(error).strip().partition("\n")[0]
        raise BadInput(
            f"{work.name} with {work.method.title or type(work.method).__name__} cannot be traced without weights "
            f"({type(error).__name__}: {what}); run one trial to measure it: --set study.trials=1 --set finals.seeds=0"
        ) from error
    return _Traces(step, padded, evaluation, way, trainable)


def _step(
    kind: Callable[..., Stepper], work: Work, tuned: TunedModel, encoder: Encoder, pairs: Sequence[Pair]
) -> Traced:
    with read_as_zero():
        stepper = kind(tuned, encoder, work.settings, work.dtype, planned_steps(work.settings, len(work.splits.train)))
    return trace_training(stepper, pairs)


def _base(work: Work, fields: Mapping[str, Any]) -> LanguageModel:
    base = built(work.name, fields)
    base.network.to(dtype=work.dtype)  # type: ignore[call-arg]
    base.tokenizer = work.tokenizer
    return base


def _encoder(work: Work, base: LanguageModel) -> Encoder:
    encoder = Encoder(base, work.splits.template, work.splits.labels, work.splits.answer)
    encoder.device = torch.device("cpu")
    return encoder


def _training(work: Work, encoder: Encoder, trainable: int) -> tuple[int, float, list[Pair]]:
    """Return the steps of a run, their mean tokens by those of the largest batch, and that batch."""
    if not trainable:
        return 0, 0.0, []
    room = encoder.room(int(work.method.options().get("num_virtual_tokens") or 0), work.settings.max_length)
    pairs, _ = encoder.pairs(work.splits.train, room)
    lengths = [len(ids) + len(label) for ids, label in pairs]
    steps = planned_steps(work.settings, len(pairs))
    batches = training_batches(lengths, work.settings.batch_size, steps, work.seed, work.settings.group_by_length)
    tokens = [sum(lengths[i] for i in batch) for batch in batches]
    largest = max(range(steps), key=tokens.__getitem__)
    return steps, sum(tokens) / steps / tokens[largest], [pairs[i] for i in batches[largest]]


def _evaluated(work: Work, encoder: Encoder, room: int | None) -> list[Pair]:
    """Return the longest batch of an evaluation, as `bench.training.evaluation.Scorer` makes it."""
    inputs, _ = encoder.inputs(work.splits.validation, room)
    lengths, size = [len(ids) for ids in inputs], work.settings.eval_batch_size
    if encoder.single_token_labels:
        return [(inputs[i], encoder.label_ids[0]) for i in evaluation_batches(lengths, size)[0]]
    candidates = [encoder.candidates(example, room) for example in work.splits.validation]
    rows = evaluation_batches(lengths, max(1, size // max(map(len, candidates), default=1)))[0]
    return [(inputs[i], ids) for i in rows for ids in candidates[i]]
