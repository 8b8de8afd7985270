"""As many trials a cell as fit into so many hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.core.errors import BadInput, BenchError
from bench.experiment.cell import Cell
from bench.planning.cells import estimate
from bench.planning.places import Place
from bench.planning.schedule import Expected, duration


def seconds_of(cells: Sequence[Cell], on: Place) -> dict[str, Expected]:
    """Return what each cell with a model takes, by its path.

    Raises:
        BadInput: it cannot be told of one of them.
    """
    found = {}
    for cell in cells:
        try:
            estimated = estimate(cell, on)
        except BenchError as error:
            raise BadInput(f"--budget-hours: {cell.title} cannot be estimated: {error}") from error
        if estimated is not None:
            found[cell.path] = estimated.seconds
    return found


def cut(cells: Sequence[Cell], seconds: Mapping[str, Expected], budget: float) -> tuple[list[Cell], str]:
    """Return the cells with the most trials that fit, the same for all that have as many, and what was cut in words.

    Args:
        cells: what is to run; fewer trials leave a cell the same cell.
        seconds: what those take that are counted, by path.
        budget: seconds of all workers together.

    Raises:
        BadInput: not even one trial a cell fits.
    """

    def total(trials: int) -> float:
        fewer = {cell.path: _with_trials(cell, trials) for cell in cells}
        return sum(
            replace(one, trials=fewer[path].study.trials, repeats=fewer[path].planned_repeats).total
            for path, one in seconds.items()
        )

    most = max((cell.study.trials // cell.studies for cell in cells), default=0)
    fit = next((trials for trials in range(most, 0, -1) if total(trials) <= budget), None)
    if fit is None:
        if total(0) <= budget and most == 0:
            return list(cells), f"the whole takes about {duration(total(0))}: nothing was cut"
        raise BadInput(
            f"--budget-hours: with one trial a cell it still takes {duration(total(1))} of one worker, and "
            f"{duration(max(0.0, budget))} are there beside start and report; run fewer cells (--only), finals.seeds "
            "or training.max_steps"
        )
    if fit == most:
        return list(cells), f"the whole takes about {duration(total(most))} of one worker: nothing was cut"
    return [_with_trials(cell, fit) for cell in cells], (
        f"cut to fit: {fit} trials a study in place of up to {most}, about {duration(total(fit))} of one worker in "
        f"place of {duration(total(most))}"
    )


def _with_trials(cell: Cell, trials: int) -> Cell:
    study = cell.study.model_copy(update={"trials": min(trials * cell.studies, cell.study.trials)})
    return cell.model_copy(update={"study": study})
