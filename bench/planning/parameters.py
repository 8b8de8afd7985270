"""Parameters of a model with a method, counted as a trial counts them, without any weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.errors import BadInput
from bench.methods import methods
from bench.methods.attaching import attach
from bench.methods.base import TunedModel
from bench.planning.data import assumed
from bench.planning.weightless import ReadsAsZero, built, model_config
from bench.runs.record import Parameters


def attach_weightless(model: str, method: str, options: Mapping[str, Any], where: str) -> TunedModel:
    """Return a model on the meta device with a method attached, from the configuration of the model alone.

    Args:
        model: see `bench.planning.weightless.model_config`.
        method: a name that ``bench list methods`` lists.
        options: fields of the method, as an experiment file names them.
        where: begins messages about the options.

    Raises:
        BadInput: unknown names or options, or a method that uses no language model.
        Infeasible: this model cannot run this configuration.
        Unavailable: the configuration would have to be fetched, and cannot be.
    """
    if not methods.get(method).uses_model:
        raise BadInput(f"method '{method}' uses no language model; there are no parameters to count")
    configured, fields = methods.build(method, options, where), model_config(model)
    splits, _ = assumed(fields, tokens=1, sizes=(128, 128, 128))
    with ReadsAsZero():
        return attach(configured, built(model, fields), splits, seed=0)


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
