"""What one training step and one evaluation pass of a configuration take, from its model's configuration alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from bench.core.errors import BadInput, BenchError
from bench.forward.checkpointing import checkpointed
from bench.methods.attaching import attach
from bench.planning.configurations import cycle, depth, with_layers
from bench.planning.fake import attach_fake
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


def predict(work: Work, whole: bool = False, parameters: Parameters | None = None) -> Prediction:
    """Predict what a configuration takes.

    Args:
        work: the model, the method, data and settings.
        whole: trace all layers, however many.
        parameters: of this model with this method, where they have been counted.

    Raises:
        BadInput: what cannot be traced.
        Infeasible: this model cannot run this configuration.
    """
    encoder = work.encoder(work.base())
    every, step = depth(work.fields), cycle(work.fields)
    shallow = step * math.ceil(LEAST_TRACED / step) if step else every
    if not whole and step and every > max(ALL_TRACED, 2 * shallow + step):
        counted = parameters or _counted(work)
        short, longer = (_traced(work, encoder, layers) for layers in (shallow, shallow + step))
        factor = (every - shallow) / step
        more = longer.parameters.trainable - short.parameters.trainable
        if short.parameters.trainable + round(factor * more) == counted.trainable:  # the same in every layer
            return replace(
                short,
                parameters=counted,
                step=short.step and longer.step and short.step.extended(longer.step, factor),
                evaluation=short.evaluation.extended(longer.evaluation, factor),
                layers=short.layers + longer.layers,
            )
    return _traced(work, encoder, None)


def _counted(work: Work) -> Parameters:
    with _told(work), ReadsAsZero():
        return parameters_of(attach(work.method, work.base(), work.splits, work.seed))


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


def _traced(work: Work, encoder: Encoder, layers: int | None) -> Prediction:
    """Trace a model, or a copy with fewer layers."""
    every, steps = depth(work.fields), planned_steps(work.settings, len(work.splits.train))
    base = work.base(None if layers is None else with_layers(work.fields, layers))
    step = None
    step_share = 0.0
    with _told(work):
        tuned = attach_fake(work.method, base, work.splits, work.seed)
        parameters = parameters_of(tuned)
        room = encoder.room(tuned.virtual_tokens, work.settings.max_length)
        with checkpointed(base.network) if work.checkpointing else nullcontext():
            way = tuned.pathway.name
            evaluated, evaluation_share = batches_evaluated(work, encoder, room)
            evaluation = trace_evaluation(tuned, encoder, evaluated)
            if parameters.trainable:
                trained, step_share = batches_trained(work, encoder)
                with ReadsAsZero():
                    stepper = Stepper(tuned, encoder, work.settings, work.dtype, steps)
                step = trace_training(stepper, trained)
    sequences = [len(encoder.candidates(example, None)) for example in work.splits.validation]
    labels = 1 if encoder.single_token_labels else max(sequences, default=1)
    return Prediction(
        parameters,
        step,
        evaluation,
        step_share,
        evaluation_share,
        steps=steps if parameters.trainable else 0,
        evaluated=min(len(work.splits.validation), max(1, work.settings.eval_batch_size // labels)),
        evaluated_tokens=sum(len(ids) for ids, _ in evaluated),
        answer=_answer(encoder),
        way=way,
        layers_of_model=every,
        layers=(layers or every,),
    )
