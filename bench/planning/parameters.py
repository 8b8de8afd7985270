"""Parameters of a model with a method, counted as a trial counts them, without any weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.errors import BadInput
from bench.methods import methods
from bench.methods.attaching import attach
from bench.methods.base import TunedModel
from bench.planning.weightless import ReadsAsZero, stand_in_data, weightless
from bench.runs.record import Parameters


def count_parameters(model: str, method: str, options: Mapping[str, Any], where: str) -> Parameters:
    """Count the parameters of a cell from the configuration of its model alone.

    Args:
        model: see `bench.planning.weightless.weightless`.
        method: a name that ``bench list methods`` lists.
        options: fields of the method, as an experiment file names them.
        where: begins messages about the options.

    Raises:
        BadInput: unknown names or options, or a method that uses no language model.
        Infeasible: this model cannot run this configuration.
        Unavailable: see `weightless`.
    """
    return parameters_of(attach_weightless(model, method, options, where))


def attach_weightless(model: str, method: str, options: Mapping[str, Any], where: str) -> TunedModel:
    """Return a model on the meta device with a method attached; see `count_parameters`."""
    kind = methods.get(method)
    if not kind.uses_model:
        raise BadInput(f"method '{method}' uses no language model; there are no parameters to count")
    built = methods.build(method, options, where)
    with ReadsAsZero():  # type: ignore[no-untyped-call]
        return attach(built, weightless(model), stand_in_data(), seed=0)


def parameters_of(tuned: TunedModel) -> Parameters:
    """Return the counts of an attached method, as PEFT counts: all that is there, and what of it is trained."""
    return Parameters(
        base=tuned.base.parameters,
        total=tuned.base.parameters + tuned.added_parameters(),
        trainable=sum(parameter.numel() for parameter in tuned.trainable().values()),
    )


def peft_line(parameters: Parameters) -> str:
    """Return the counts in the words of PEFT's ``print_trainable_parameters``, percent in full."""
    return (
        f"trainable params: {parameters.trainable:,} || all params: {parameters.total:,} || "
        f"trainable%: {parameters.percent}"
    )
