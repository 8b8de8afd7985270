"""Equal terms: whether the cells of one table had the same budget and the same breadth of search.

A comparison of methods is worth what its terms are worth: who may search wider or train longer, wins.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from bench.core.distributions import Choice
from bench.core.grouping import grouped
from bench.experiment.cell import Cell

EQUAL_STEPS = "equal steps"
AS_PUBLISHED = "as published"
TOKENS = "tokens seen"
TRIALS = "trials"
REPEATS = "repeated trials"
FREE = {"equal tokens": ("steps", TRIALS, REPEATS, TOKENS), "equal seconds": ("steps", TRIALS, REPEATS, TOKENS)}
"""What may differ where the budget is equal in something else."""


def terms_of(cell: Cell) -> dict[str, str]:
    """Return what a cell that trains was given, by the name of each term."""
    training = cell.training
    # The best of many validations is better than the best of few.
    usual = training.eval_steps is None or (
        training.num_train_epochs is None and training.eval_steps == max(1, training.max_steps // 10)
    )
    return {
        "steps": f"{training.num_train_epochs:g} epochs" if training.num_train_epochs else f"{training.max_steps}",
        TRIALS: f"{cell.study.trials}",
        REPEATS: f"{cell.planned_repeats}",
        "validations": "ten a run" if usual else f"every {training.eval_steps} steps",
        "early stopping": f"{training.early_stopping_patience or 'none'}",
        "greatest length": f"{training.max_length or 'the context'}",
        "batch size": f"{training.batch_size}",
        "warm-up": f"{training.warmup_ratio:g}",
        "precision": cell.runtime.precision,
        "width of the learning-rate search": _width(cell),
    }


def unequal(cells: Iterable[Cell], terms: str, measured: Mapping[str, Mapping[str, str]] | None = None) -> list[str]:
    """Return one sentence for each term in which cells of the same data set differ; none ``as published``.

    Args:
        cells: those that train; what trains nothing has no steps to be equal in.
        terms: the experiment's ``terms``.
        measured: terms that records alone know, such as tokens seen and the trials that ended: their values by the
            cell's path.
    """
    cells = list(cells)
    return [
        f"{dataset}: the cells{of_models(values, dataset, cells)} differ in {term}: {_listed(values)}"
        for dataset, found in differing(cells, terms, measured).items()
        for term, values in found.items()
    ]


def differing(
    cells: Iterable[Cell], terms: str, measured: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, dict[str, dict[str, list[Cell]]]]:
    """Return, by data set and term, the values that differ, each with the cells that have it; see `unequal`."""
    if terms == AS_PUBLISHED:
        return {}
    by_dataset = grouped(cells, lambda cell: cell.dataset.label)
    return {
        dataset: {
            term: values
            for term, values in _by_value(group, measured or {}).items()
            if len(values) > 1 and term not in FREE.get(terms, ())
        }
        for dataset, group in by_dataset.items()
    }


def _by_value(cells: Sequence[Cell], measured: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, list[Cell]]]:
    found: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        for term, value in {**terms_of(cell), **measured.get(cell.path, {})}.items():
            found.setdefault(term, {}).setdefault(value, []).append(cell)
    return found


def of_models(values: Mapping[str, Sequence[Cell]], dataset: str, compared: Iterable[Cell]) -> str:
    """Return ``" of MODEL, MODEL"`` where a term differs at some of a data set's models alone; else nothing."""
    models = dict.fromkeys(cell.labels[0] for cells in values.values() for cell in cells)
    every = {cell.labels[0] for cell in compared if cell.labels[1] == dataset}
    return "" if len(models) == len(every) else f" of {', '.join(models)}"


def _listed(values: Mapping[str, Sequence[Cell]]) -> str:
    """Name each value with those that have it: models, if none has two; methods, if none has two; else both."""
    models, methods = (
        [label for cells in values.values() for label in {cell.labels[place] for cell in cells}] for place in (0, 2)
    )

    def name(cell: Cell) -> str:
        model, _, method = cell.labels
        if len(models) == len(set(models)):
            return model
        return method if methods.count(method) == 1 else f"{method} of {model}"

    return ", ".join(f"{value} ({', '.join(dict.fromkeys(map(name, cells)))})" for value, cells in values.items())


def _width(cell: Cell) -> str:
    rate = cell.search.get("learning_rate")
    if rate is None:
        return "none"
    if isinstance(rate, Choice):
        return f"{len(rate.choices)} values"
    return f"a factor of {10 ** round(math.log10(rate.high / rate.low), 1):.3g}"
