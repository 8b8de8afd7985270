"""What the cells of a comparison say together: over tasks, over data sets, over test items, over trials.

Numbers and reasons, no words: `bench.reporting.sentences` and the page write them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np

from bench.core.config import derive_seed
from bench.reporting.cells import CellResults
from bench.reporting.statistics import paired
from bench.reporting.statistics.aggregate import (
    interquartile_mean,
    probability_of_improvement,
    stratified_bootstrap,
)
from bench.reporting.statistics.intervals import MIN_SEEDS, Interval
from bench.reporting.statistics.outcomes import Outcome, Scores, outcomes, ranks
from bench.reporting.statistics.search import expected_best, learning_rate_sensitivity


@dataclass(frozen=True)
class Aggregate:
    """A method over all tasks that every method has."""

    method: str
    iqm: float
    """Interquartile mean of the scores of all its seeds on all tasks."""
    interval: Interval | None
    """95 % interval, seeds resampled within each task; None where a task has fewer than `MIN_SEEDS`."""
    rank: float
    """Mean rank, 1 is best."""


@dataclass(frozen=True)
class OverTasks:
    """Methods held against each other on the tasks (a model on a data set) that all of them have."""

    metric: str
    tasks: tuple[str, ...]
    aggregates: tuple[Aggregate, ...]
    """Best first."""
    improvement: dict[tuple[str, str], float]
    """How likely a run of the first method beats one of the second."""
    outcomes: dict[tuple[str, str], Outcome]
    partial: tuple[str, ...] = ()
    """Methods left out of aggregates, because they lack a task that most have."""


@dataclass(frozen=True)
class PairTest:
    """Two methods at one model, over data sets."""

    model: str
    first: str
    second: str
    result: paired.Paired
    corrected: float
    """p after Holm's correction for all pairs of this model."""


@dataclass(frozen=True)
class Search:
    """What the study of one cell says about how much the method needs tuning."""

    cell: CellResults
    finished: int
    """Trials with a validation score, pruned ones left out."""
    expected: tuple[tuple[int, float], ...]
    """Expected best validation score after so many trials."""
    sensitivity: float | None
    """Score lost on average by a learning rate from the searched range instead of the best; None where too few."""


def scores_by_method(cells: Iterable[CellResults]) -> dict[str, dict[str, Scores]]:
    """Return method, then task, then scores on test; methods without a model have no task of a model."""
    table: dict[str, dict[str, Scores]] = {}
    for cell in cells:
        if cell.scores and cell.uses_model:
            scores = Scores(cell.scores, cell.stochastic, cell.greater_is_better)
            table.setdefault(cell.method, {})[f"{cell.model} / {cell.dataset}"] = scores
    return table


def over_tasks(cells: Sequence[CellResults]) -> list[OverTasks]:
    """Compare methods over tasks, for each metric that has two methods with two tasks in common."""
    found = []
    for metric in dict.fromkeys(cell.metric for cell in cells):
        table = scores_by_method(cell for cell in cells if cell.metric == metric)
        most = max((len(tasks) for tasks in table.values()), default=0)
        whole = {method: tasks for method, tasks in table.items() if len(tasks) == most}
        shared = sorted(set.intersection(*(set(tasks) for tasks in whole.values()))) if whole else []
        if len(whole) < 2 or len(shared) < 2:
            continue
        placed = ranks(whole)
        values = {method: [list(tasks[task].values) for task in shared] for method, tasks in whole.items()}
        greater = next(iter(whole[next(iter(whole))].values())).greater_is_better
        aggregates = [
            Aggregate(
                method,
                interquartile_mean([score for task in scores for score in task]),
                _iqm_interval(whole[method].values(), scores, _generator("iqm", metric, method)),
                fmean(placed[method].values()),
            )
            for method, scores in values.items()
        ]
        aggregates.sort(key=lambda one: (-one.iqm if greater else one.iqm, one.method))
        improvement = {
            (one, other): probability_of_improvement(values[one], values[other], greater)
            for one in values
            for other in values
            if one != other
        }
        left = tuple(sorted(table.keys() - whole.keys()))
        found.append(OverTasks(metric, tuple(shared), tuple(aggregates), improvement, outcomes(table), left))
    return found


def _iqm_interval(
    tasks: Iterable[Scores], scores: Sequence[Sequence[float]], generator: np.random.Generator
) -> Interval | None:
    if any(task.stochastic and len(task.values) < MIN_SEEDS for task in tasks):
        return None
    return stratified_bootstrap(scores, interquartile_mean, generator)


def pair_tests(cells: Sequence[CellResults]) -> list[PairTest]:
    """Test each pair of methods of a model over the data sets that both have; empty where these are too few."""
    by_model: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for cell in cells:
        if cell.mean is not None and cell.uses_model:
            methods = by_model.setdefault((cell.model, cell.metric), {})
            methods.setdefault(cell.method, {})[cell.dataset] = cell.mean
    found = []
    for (model, _), methods in by_model.items():
        tests = []
        for first, second in combinations(sorted(methods), 2):
            shared = sorted(methods[first].keys() & methods[second].keys())
            result = paired.wilcoxon(*([methods[method][name] for name in shared] for method in (first, second)))
            if result is not None:
                tests.append((first, second, result))
        corrected = paired.holm([result.p for _, _, result in tests])
        found += [PairTest(model, *test, p) for test, p in zip(tests, corrected, strict=True)]
    return found


def most_data_sets(cells: Iterable[CellResults]) -> int:
    """Return the largest number of data sets that one model has scores on."""
    sets: dict[str, set[str]] = {}
    for cell in cells:
        if cell.mean is not None:
            sets.setdefault(cell.model, set()).add(cell.dataset)
    return max(map(len, sets.values()), default=0)


def searches(cells: Iterable[CellResults]) -> list[Search]:
    """Return what each study of at least two finished trials says."""
    found = []
    for cell in cells:
        done = [run for run in cell.trials if run.status == "ok" and run.objective is not None]
        scores = [run.objective for run in done if run.objective is not None]
        if len(scores) < 2:
            continue
        steps = sorted({1, max(1, len(scores) // 2), len(scores)})
        expected = tuple((n, expected_best(scores, n, cell.settings.greater_is_better)) for n in steps)
        rated = [
            (run.spec.params["learning_rate"], run.objective) for run in done if "learning_rate" in run.spec.params
        ]
        pairs = [(rate, score) for rate, score in rated if isinstance(rate, int | float) and score is not None]
        sensitivity = learning_rate_sensitivity(
            [float(rate) for rate, _ in pairs], [score for _, score in pairs], cell.settings.greater_is_better
        )
        found.append(Search(cell, len(scores), expected, sensitivity))
    return found


def on_same_items(first: CellResults, second: CellResults) -> paired.ItemGap | None:
    """Compare two methods on the test items that both predicted; None where these are too few.

    Each method counts by the share of its seeds that have an item right.
    """
    ours, theirs = _right_by_item(first), _right_by_item(second)
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    generator = _generator("items", first.title, second.title)
    return paired.paired_bootstrap(
        np.array([ours[item] for item in shared]), np.array([theirs[item] for item in shared]), generator
    )


def _right_by_item(cell: CellResults) -> dict[str, float]:
    seen: dict[str, list[bool]] = {}
    for run in cell.finals:
        if run.status == "ok" and run.predictions:
            answers = run.predictions
            for item, reference, prediction in zip(answers.ids, answers.references, answers.predictions, strict=True):
                seen.setdefault(item, []).append(reference == prediction)
    return {item: fmean(right) for item, right in seen.items()}


def _generator(*of: str) -> np.random.Generator:
    """Return a generator that depends on what it is for alone: a report drawn twice is the same."""
    return np.random.default_rng(derive_seed(0, *of))
