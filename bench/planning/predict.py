"""What one training step and one evaluation pass of a configuration take, from its model's configuration alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from bench.core.errors import BadInput, BenchError
from bench.forward.checkpointing import checkpointed
from bench.methods.attaching import attach
from bench.methods.base import TunedModel
from bench.models.kinds import Kind
from bench.planning.fake import attach_fake, cycle, depth, read_as_zero, with_layers
from bench.planning.padded import PaddedStepper, PaddedWay
from bench.planning.parameters import parameters_of
from bench.planning.trace import Traced, trace_evaluation, trace_training
from bench.planning.weightless import ReadsAsZero
from bench.planning.work import Work, batches_evaluated, batches_trained
from bench.runs.record import Parameters
from bench.training.batching import planned_steps
from bench.training.encoding import Encoder
from bench.training.step import Stepper

ALL_TRACED = 8
"""Layers up to which a model is traced whole; of deeper ones two shallow copies, on a line."""
LEAST_TRACED = 3
"""Layers of the shallower copy, or the whole cycles that hold so many: with two, the first and the last layer of an
evaluation have its peak, and not the layers between."""


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
    step_share: float
    """Mean tokens of a step by those of the step that was traced."""
    evaluation_share: float
    """The same of the passes of an evaluation."""
    steps: int
    evaluated: int
    """Examples of a pass."""
    evaluated_tokens: int
    """Tokens of the longest pass of an evaluation."""
    answer: int
    """Tokens of the longest answer that is generated; 0 where none are."""
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

    @property
    def mean_step(self) -> Traced | None:
        """A step of the mean number of tokens, for its time; None where nothing is trained."""
        return self.step.part(self.step_share) if self.step else None

    @property
    def mean_evaluation(self) -> Traced:
        """A pass of an evaluation with the mean number of tokens, for its time."""
        return self.evaluation.part(self.evaluation_share)


@dataclass(frozen=True)
class _Traces:
    step: Traced | None
    padded: Traced | None
    evaluation: Traced
    step_share: float
    evaluation_share: float
    evaluated_tokens: int
    way: str
    trainable: int

    def extended(self, longer: _Traces, factor: float) -> _Traces:
        def on(one: Traced | None, other: Traced | None) -> Traced | None:
            return one.extended(other, factor) if one and other else None

        return replace(
            self,
            step=on(self.step, longer.step),
            padded=on(self.padded, longer.padded),
            evaluation=self.evaluation.extended(longer.evaluation, factor),
            trainable=self.trainable + round(factor * (longer.trainable - self.trainable)),
        )


def predict(work: Work, whole: bool = False, beside: bool = True, parameters: Parameters | None = None) -> Prediction:
    """Predict what a configuration takes.

    Args:
        work: the configuration.
        whole: trace all layers, however many.
        beside: trace PEFT's way too.
        parameters: of this model with this method, where they have been counted.

    Raises:
        BadInput: what cannot be traced.
        Infeasible: this model cannot run this configuration.
    """
    if parameters is None:
        with _told(work), ReadsAsZero():  # type: ignore[no-untyped-call]
            parameters = parameters_of(attach(work.method, work.base(), work.splits, work.seed))
    encoder = work.encoder(work.base())
    every = depth(work.fields)
    step = cycle(work.fields)
    shallow = step * math.ceil(LEAST_TRACED / step) if step else every
    layers: tuple[int, ...] = (every,)
    if not whole and step and every > max(ALL_TRACED, 2 * shallow + step):
        layers = (shallow, shallow + step)
        factor = (every - layers[0]) / (layers[1] - layers[0])
        short, longer = (_traced(work, encoder, number, beside) for number in layers)
        found = short.extended(longer, factor)
        if found.trainable != parameters.trainable:  # not the same in every layer
            layers = (every,)
    if len(layers) == 1:
        found = _traced(work, encoder, None, beside)
    sequences = [len(encoder.candidates(example, None)) for example in work.splits.validation]
    labels = 1 if encoder.single_token_labels else max(sequences, default=1)
    return Prediction(
        parameters,
        found.step,
        found.padded,
        found.evaluation,
        found.step_share,
        found.evaluation_share,
        steps=planned_steps(work.settings, len(work.splits.train)) if found.trainable else 0,
        evaluated=min(len(work.splits.validation), max(1, work.settings.eval_batch_size // labels)),
        evaluated_tokens=found.evaluated_tokens,
        answer=_answer(encoder),
        way=found.way,
        layers_of_model=every,
        layers=layers,
    )


def _answer(encoder: Encoder) -> int:
    """Return the tokens of the longest answer: of a label word one more than it has, which shows where it ends."""
    if not encoder.generates:
        return 0
    return max(map(len, encoder.label_ids)) + 1 if encoder.label_ids else encoder.answer.generate.max_new_tokens


@contextmanager
def _told(work: Work) -> Iterator[None]:
    """Say in a line what cannot be traced."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # whatever a family or a plug-in does that has no answer without values
        what = str(error).strip().partition("\n")[0]
        raise BadInput(
            f"{work.name} with {work.method.title or type(work.method).__name__} cannot be traced without weights "
            f"({type(error).__name__}: {what}); run one trial to measure it: --set study.trials=1 --set finals.seeds=0"
        ) from error


def _traced(work: Work, encoder: Encoder, layers: int | None, beside: bool) -> _Traces:
    """Trace a model, or a copy with fewer layers."""
    base = work.base(None if layers is None else with_layers(work.fields, layers))
    with _told(work):
        tuned = attach_fake(work.method, base, work.splits, work.seed)
        trainable = sum(parameter.numel() for parameter in tuned.trainable().values())
        room = encoder.room(tuned.virtual_tokens, work.settings.max_length)
        step = padded = None
        share = 0.0
        with ExitStack() as stack:
            if work.checkpointing:
                stack.enter_context(checkpointed(base.network))
            way = tuned.pathway.name
            evaluated = batches_evaluated(work, encoder, room)
            evaluation = trace_evaluation(tuned, encoder, evaluated.largest)
            if trainable:
                trained = batches_trained(work, encoder)
                share = trained.share
                step = trace_training(_stepper(Stepper, work, tuned, encoder), trained.largest)
                if beside and base.kind is Kind.CAUSAL:
                    tuned.__dict__["pathway"] = PaddedWay(tuned.network, "padded")
                    if way == "packed":
                        tuned.network.set_attn_implementation("sdpa")
                    padded = trace_training(_stepper(PaddedStepper, work, tuned, encoder), trained.largest)
    tokens = sum(len(ids) for ids, _ in evaluated.largest)
    return _Traces(step, padded, evaluation, share, evaluated.share, tokens, way, trainable)


def _stepper(kind: Callable[..., Stepper], work: Work, tuned: TunedModel, encoder: Encoder) -> Stepper:
    with read_as_zero():
        return kind(tuned, encoder, work.settings, work.dtype, planned_steps(work.settings, len(work.splits.train)))
