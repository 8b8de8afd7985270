"""What the cells of a comparison say together: over tasks, over data sets, over trials.

Numbers and reasons, no words: `bench.reporting.sentences` and the page write them out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, permutations
from statistics import fmean
from typing import TypeVar

import numpy as np

from bench.core.config import derive_seed
from bench.core.distributions import Float
from bench.reporting.answers import metric_of
from bench.reporting.cells import CellResults, groups
from bench.reporting.statistics import paired
from bench.reporting.statistics.aggregate import (
    interquartile_mean,
    probability_of_improvement,
    stratified_bootstrap,
)
from bench.reporting.statistics.intervals import MIN_SEEDS, Interval
from bench.reporting.statistics.search import (
    counted_score,
    expected_best,
    expected_best_band,
    learning_rate_sensitivity,
)
from bench.reporting.statistics.verdict import Outcome
from bench.runs.record import TrialRecord

Value = TypeVar("Value")


@dataclass(frozen=True)
class Aggregate:
    """A method over the tasks that are pooled."""

    method: str
    iqm: float
    """Interquartile mean of the normalised scores of all its seeds on all tasks: 0 the majority class, 1 perfect."""
    interval: Interval | None
    """95 % interval, seeds resampled within each task; None where a task has fewer than `MIN_SEEDS`."""
    rank: float | None
    """Mean rank, 1 is best; None where a task has no verdict."""


@dataclass(frozen=True)
class OverTasks:
    """Methods held against each other over tasks: a task is a model on a data set."""

    metric: str
    methods: tuple[str, ...]
    """Those that have all of `tasks`, chosen so that they have most cells together."""
    tasks: tuple[str, ...]
    """Those whose scores are pooled."""
    aggregates: tuple[Aggregate, ...]
    """Best first; empty where fewer than two tasks can be pooled."""
    improvement: dict[tuple[str, str], float]
    """How likely a run of the first method beats one of the second."""
    outcomes: dict[tuple[str, str], Counter[Outcome]]
    """How often the first method came off so against the second, over the tasks that both have."""
    partial: tuple[str, ...] = ()
    """Methods left out of aggregates, because they lack one of the tasks, or finals failed there."""
    unscaled: tuple[str, ...] = ()
    """Tasks left out of aggregates: what the majority class scores is not known, or what a perfect score is."""


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
class SearchWorth:
    """What the study of one cell says about how much the method needs tuning."""

    cell: CellResults
    counted: int
    """Trials that count: finished, pruned and diverged ones."""
    expected: tuple[tuple[int, float], ...]
    """Expected best validation score after so many trials."""
    sensitivity: float | None
    """Score lost on average by a learning rate from the declared range instead of the best; None where too few."""


def ranks_by_method(cells: Iterable[CellResults]) -> dict[str, dict[str, int]]:
    """Return method, then task, then rank by the verdicts, of methods and tasks that are `_in_common`."""
    return _in_common(_ranks(cells))


def over_tasks(cells: Sequence[CellResults]) -> list[OverTasks]:
    """Compare methods over tasks, for each metric that has two methods with two tasks in common."""
    return [
        found
        for metric in dict.fromkeys(cell.metric for cell in cells)
        if (found := _over_tasks(metric, [cell for cell in cells if cell.metric == metric]))
    ]


def _over_tasks(metric: str, cells: Sequence[CellResults]) -> OverTasks | None:
    table: dict[str, dict[str, CellResults]] = {}
    for cell in cells:
        if cell.scores and cell.uses_model and not cell.failed:
            table.setdefault(cell.method, {})[_task(cell)] = cell
    whole = _in_common(table)
    if not whole:
        return None
    shared = sorted(next(iter(whole.values())))
    scaled = [task for task in shared if all(_normalised(tasks[task]) is not None for tasks in whole.values())]
    placed = _ranks(cells)
    aggregates = []
    for method, tasks in whole.items() if len(scaled) > 1 else ():
        members = [tasks[task] for task in scaled]
        scores = [_normalised(cell) or [] for cell in members]
        few = any(cell.stochastic and len(cell.scores) < MIN_SEEDS for cell in members)
        # A generator that depends on what it is for alone: a report drawn twice is the same.
        generator = np.random.default_rng(derive_seed(0, "iqm", metric, method))
        places = placed.get(method, {})
        aggregates.append(
            Aggregate(
                method,
                interquartile_mean([score for task in scores for score in task]),
                None if few else stratified_bootstrap(scores, interquartile_mean, generator),
                fmean(places[task] for task in scaled) if places.keys() >= set(scaled) else None,
            )
        )
    aggregates.sort(key=lambda one: (-one.iqm, one.method))
    greater = cells[0].greater_is_better
    values = {method: [tasks[task].scores for task in shared] for method, tasks in whole.items()}
    improvement = {
        (one, other): probability_of_improvement(values[one], values[other], greater)
        for one, other in permutations(values, 2)
    }
    beaten: dict[tuple[str, str], Counter[Outcome]] = defaultdict(Counter)
    for group in groups(cells):
        for one, other in permutations(group.tested, 2):
            beaten[one.method, other.method][group.between(one, other).outcome(greater)] += 1
    return OverTasks(
        metric,
        tuple(one.method for one in aggregates) or tuple(sorted(whole)),
        tuple(scaled),
        tuple(aggregates),
        improvement,
        beaten,
        tuple(sorted(table.keys() - whole.keys())),
        tuple(task for task in shared if task not in scaled),
    )


def _task(cell: CellResults) -> str:
    return f"{cell.model} / {cell.dataset}"


def _ranks(cells: Iterable[CellResults]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for cell in cells:
        rank = cell.group.verdicts.ranks.get(cell.key) if cell.uses_model else None
        if rank is not None:
            table.setdefault(cell.method, {})[_task(cell)] = rank
    return table


def _in_common(table: Mapping[str, Mapping[str, Value]]) -> dict[str, dict[str, Value]]:
    """Return two methods or more with the two tasks or more that all of them have: those with most cells together.

    The tasks are those that some pair of methods shares, or one method has. Empty where no two share two tasks.
    """
    pairs = combinations_with_replacement(table.values(), 2)
    candidates = dict.fromkeys(tuple(task for task in one if task in other) for one, other in pairs)
    blocks = [
        {method: {task: found[task] for task in tasks} for method, found in table.items() if found.keys() >= set(tasks)}
        for tasks in candidates
        if len(tasks) > 1
    ]
    several = [block for block in blocks if len(block) > 1]
    return max(several, key=lambda block: (sum(map(len, block.values())), len(block)), default={})


def _normalised(cell: CellResults) -> list[float] | None:
    """Return the scores on the scale of their task, 0 the majority class and 1 perfect; None where it is not known."""
    chance, bounds = cell.group.chance, cell.bounds
    if chance is None or bounds is None:
        return None
    perfect = bounds[1] if cell.greater_is_better else bounds[0]
    return None if chance == perfect else [(score - chance) / (perfect - chance) for score in cell.scores]


def pair_tests(cells: Sequence[CellResults]) -> list[PairTest]:
    """Test each pair of methods of a model over the data sets that both have, by normalised scores.

    Empty where these are too few.
    """
    by_model: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for cell in cells:
        if cell.uses_model and not cell.failed and (scores := _normalised(cell)):
            methods = by_model.setdefault((cell.model, cell.metric), {})
            methods.setdefault(cell.method, {})[cell.dataset] = fmean(scores)
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


def searches(cells: Iterable[CellResults]) -> list[SearchWorth]:
    """Return what each study of at least two trials that count says."""
    found = []
    for cell in cells:
        trials = counted_trials(cell)
        scores = [score for _, score in trials]
        if len(scores) < 2:
            continue
        steps = sorted({1, max(1, len(scores) // 2), len(scores)})
        greater = cell.settings.greater_is_better
        expected = tuple((n, expected_best(scores, n, greater)) for n in steps)
        rated = [(rate, score) for run, score in trials if (rate := searched_value(run, "learning_rate")) is not None]
        declared = cell.settings.search.get("learning_rate")
        sensitivity = learning_rate_sensitivity(
            [rate for rate, _ in rated],
            [score for _, score in rated],
            greater,
            (declared.low, declared.high) if isinstance(declared, Float) and declared.low > 0 else None,
        )
        found.append(SearchWorth(cell, len(scores), expected, sensitivity))
    return found


def counted_trials(cell: CellResults) -> list[tuple[TrialRecord, float]]:
    """Return the trials of a study that count, each with what it counts as on validation.

    Where nothing says what the majority class scores, a diverged trial counts as the worst score of the study.
    """
    scores = [run.objective for run in cell.trials if run.objective is not None and run.status == "ok"]
    if not scores:
        return []
    chance = cell.group.chance if cell.metric == cell.settings.objective else None
    if chance is None:
        stopped = [_last_score(run) for run in cell.trials if run.status == "pruned"]
        seen = [*scores, *(last for last in stopped if last is not None)]
        chance = min(seen) if cell.settings.greater_is_better else max(seen)
    counted = ((run, counted_score(run.status, run.objective, _last_score(run), chance)) for run in cell.trials)
    return [(run, score) for run, score in counted if score is not None]


def expected_curve(cell: CellResults) -> tuple[list[float], list[Interval] | None]:
    """Return the scores that a curve of the expected best is drawn from, and its band.

    The band needs independent draws and a metric with ends: a random search without pruning, whose first trial, the
    defaults, is no draw and is left out. Otherwise None, and all trials that count. Nothing of nested folds, whose
    trials are of several studies on unlike rows.
    """
    if cell.settings.studies > 1:
        return [], None
    trials = counted_trials(cell)
    metric = metric_of(cell.settings, cell.settings.objective)
    random = cell.settings.study.sampler == "random" and all(run.status != "pruned" for run in cell.trials)
    drawn = [score for run, score in trials if run.spec.number]
    if random and metric and metric.bounds and len(drawn) > 1:
        return drawn, expected_best_band(drawn, metric.bounds, cell.settings.greater_is_better)
    return [score for _, score in trials], None


def searched_value(run: TrialRecord, hyperparameter: str) -> float | None:
    """Return the number above zero that a study chose for a hyperparameter; None if it did not vary it."""
    value = run.spec.params.get(hyperparameter)
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _last_score(run: TrialRecord) -> float | None:
    return run.validation_curve[-1].metrics.get(run.spec.cell.objective) if run.validation_curve else None
