"""What is allowed in an experiment and yet likely to mislead; said before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.core.distributions import Choice
from bench.experiment.cell import Cell
from bench.experiment.grid import own_values
from bench.experiment.schema import Experiment
from bench.experiment.settings import Training
from bench.experiment.terms import unequal
from bench.methods import methods


def cautions(experiment: Experiment, cells: Sequence[Cell]) -> Iterator[str]:
    """Yield one sentence a finding."""
    training = [cell for cell in cells if methods.get(cell.method.name).trains]
    yield from (
        f"unequal terms: {sentence}; make them equal, or say 'terms: as published'"
        for sentence in unequal(training, experiment.terms)
    )
    if "learning_rate" in experiment.training:
        rate = Training.parse(experiment.training, "training").learning_rate
        own = {
            cell.method.label: methods.get(cell.method.name).training_defaults.get("learning_rate") for cell in training
        }
        replaced = ", ".join(f"{label} {value:g}" for label, value in own.items() if value not in (None, rate))
        if replaced:
            yield f"training.learning_rate: {rate:g} stands in place of every method's own default ({replaced})"
    for cell in cells:
        for name, value in own_values(cell, outside=True).items():
            range_ = cell.search[name]
            ends = (
                ", ".join(map(str, range_.choices))
                if isinstance(range_, Choice)
                else f"{range_.low:g} to {range_.high:g}"
            )
            yield (
                f"{cell.title}: the value of {name}, {value}, lies outside of what is searched ({ends}), so the first "
                "trial does not run it"
            )
