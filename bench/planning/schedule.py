"""How often a cell trains, validates and tests, and what that comes to: the one rule behind every estimate of time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bench.experiment.cell import Cell
from bench.methods import methods
from bench.models import models

STOPPED = {"none": 0.0, "median": 0.5, "percentile": 0.5, "successive_halving": 0.5, "hyperband": 0.5}
"""Share of the trials behind the first ones that a pruner is expected to stop, on average half-way: an assumption."""
FIXED_COST = 10_000_000
"""A run's time grows with the model's parameters plus these: what a run costs whatever the model (seen in the
quickstart's records: 158 times the parameters take about 14 times as long)."""
_UNKNOWN = 1_000_000_000
"""Parameters that a model counts for which states none: looking for them could give each machine another answer."""
_EXAMPLES = 500
"""Examples of a split whose size the experiment does not say; see `_UNKNOWN`."""
_TRAINED = 3
"""Passes forward that a training step costs: one, and twice that backward."""


@dataclass(frozen=True)
class Expected:
    """What the runs of a cell are expected to take, in seconds or in a unit of their own."""

    trial: float
    """One that runs to its end."""
    final: float
    """With its test split, and answers if they are asked for."""
    trials: int
    stopped: float
    """Share of the trials behind the first `startup` that a pruner is expected to stop half-way."""
    startup: int
    finals: int
    repeats: int = 0

    @property
    def all_trials(self) -> float:
        """All trials together, less what pruning is expected to save, and their repeats."""
        return self.trial * (self.trials - self.stopped / 2 * max(0, self.trials - self.startup) + self.repeats)

    @property
    def all_finals(self) -> float:
        """All finals together."""
        return self.final * self.finals

    @property
    def total(self) -> float:
        """The whole cell."""
        return self.all_trials + self.all_finals

    def times(self, factor: float) -> Expected:
        """Return the same in another unit."""
        return replace(self, trial=factor * self.trial, final=factor * self.final)


def expected(
    cell: Cell, *, steps: int, step: float, validation: float, test: float, answers: float = 0.0, run: float = 0.0
) -> Expected:
    """Return what a cell's runs take, from what their parts do.

    Args:
        cell: the cell.
        steps: optimizer steps of a run; 0 for a method that does not train.
        step: one of them.
        validation: one pass over the validation split.
        test: one over the test split.
        answers: the generated answers of a final.
        run: what every run takes besides.
    """
    every = cell.training.steps_between_validations(steps)
    trial = run + steps * step + max(1, math.ceil(steps / every)) * validation
    study = cell.study
    stopped = STOPPED.get(study.pruner, 0.0) if steps and len(study.objectives) == 1 else 0.0
    final = trial + test + answers
    startup = study.pruner_startup_trials * cell.studies
    return Expected(trial, final, study.trials, stopped, startup, cell.planned_finals, cell.planned_repeats)


def cost(cell: Cell) -> Expected:
    """Return what a cell is expected to take, in a unit of its own, from what the experiment says alone.

    The same on every machine, for shards: no calibration, no data and no configuration of a model is looked at.
    """
    size = 0 if cell.model is None else models.get(cell.model.name).parameters or _UNKNOWN
    example = float(size + FIXED_COST)
    settings, sizes = cell.training, cell.dataset.options
    steps = 0
    if methods.get(cell.method.name).trains:
        steps = settings.max_steps
        if settings.num_train_epochs is not None:
            examples = sizes.get("train_size") or _EXAMPLES
            steps = math.ceil(settings.num_train_epochs * examples / settings.batch_size)
    return expected(
        cell,
        steps=steps,
        step=_TRAINED * settings.batch_size * example,
        validation=(sizes.get("validation_size") or _EXAMPLES) * example,
        test=(sizes.get("test_size") or _EXAMPLES) * example,
    )


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
