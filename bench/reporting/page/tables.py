"""The statistics of a comparison as small tables, each with what it means, or with why it is not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.experiment.settings import Objective
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.columns import params_text
from bench.reporting.findings import OverTasks, over_tasks, pair_tests, searches
from bench.reporting.statistics.paired import MIN_DATA_SETS
from bench.runs.objectives import objective_values, pareto_front


@dataclass(frozen=True)
class SmallTable:
    """A table of texts; the first column names its rows."""

    title: str
    about: str
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def statistics_tables(cells: Sequence[CellResults]) -> Iterator[SmallTable]:
    """Yield what the cells say together."""
    together = over_tasks(cells)
    for one in together:
        yield _aggregates(one) if one.aggregates else _not_pooled(one)
        yield _improvement(one)
        yield _outcomes(one)
    if not together:
        reason = "No two methods have scores on two tasks (a model on a data set) in common, so nothing is averaged."
        yield SmallTable("Over all tasks", reason)
    yield _pairs(cells)
    yield from _searches(cells)
    yield from _fronts(cells)


def _fronts(cells: Sequence[CellResults]) -> Iterator[SmallTable]:
    """Yield the Pareto fronts of the studies with several objectives, a table for those of the same objectives."""
    groups: dict[tuple[Objective, ...], list[tuple[str, ...]]] = {}
    for cell in cells:
        objectives = cell.settings.study.objectives
        for run in pareto_front(cell.runs, objectives) if len(objectives) > 1 else ():
            values = objective_values(run, objectives) or ()
            shown = (text.quantity(value) for value in values)
            row = (cell.title, str(run.spec.number), *shown, params_text(run.spec.params))
            groups.setdefault(objectives, []).append(row)
    for objectives, rows in groups.items():
        yield SmallTable(
            f"Pareto front: {', '.join(objectives)}".replace("_", " "),
            "The trials that no other trial of their study beats in one objective without losing in another; the score "
            "is that on validation, memory and sizes are bytes. Finals run the trial with the best score.",
            ("study", "trial", *(name.replace("_", " ") for name in objectives), "configuration"),
            tuple(rows),
        )


def _aggregates(one: OverTasks) -> SmallTable:
    left = (
        f" Left out, because they lack a task or finals failed there: {', '.join(one.partial)}." if one.partial else ""
    )
    left += f" Tasks left out, for their scale is not known: {', '.join(one.unscaled)}." if one.unscaled else ""
    rows = (
        (
            aggregate.method,
            text.score(aggregate.iqm),
            f"{text.score(aggregate.interval.low)} to {text.score(aggregate.interval.high)}"
            if aggregate.interval
            else "no interval",
            text.MISSING if aggregate.rank is None else f"{aggregate.rank:.2f}",
        )
        for aggregate in one.aggregates
    )
    return SmallTable(
        f"Over {text.number_of(len(one.tasks), 'task')}: {one.metric} on test",
        "A task is a model on a data set; methods and tasks are those with most cells in which every method has every "
        "task. Scores are normalised: 0 is the majority class, 1 is perfect. Interquartile "
        "mean over all seeds of all tasks, with its 95 % stratified bootstrap interval (Agarwal et al., 2021; none "
        f"below 3 seeds a task), and mean rank (1 is best; methods within chance of each other share one).{left}",
        ("method", "interquartile mean", "95 % interval", "mean rank"),
        tuple(rows),
    )


def _not_pooled(one: OverTasks) -> SmallTable:
    reason = (
        "Scores of different tasks are pooled as (score - majority class) / (perfect - majority class); that scale is "
        f"known for {text.number_of(len(one.tasks), 'task')} only, so nothing is pooled."
    )
    return SmallTable(f"Over all tasks: {one.metric} on test", reason)


def _improvement(one: OverTasks) -> SmallTable:
    methods = one.methods
    return SmallTable(
        f"Probability of improvement: {one.metric}",
        "How likely a run of the method of the row beats a run of the method of the column on the same task "
        "(Agarwal et al., 2021); 0.50 is no difference.",
        ("", *methods),
        tuple(
            (row, *("-" if row == column else f"{one.improvement[row, column]:.2f}" for column in methods))
            for row in methods
        ),
    )


def _outcomes(one: OverTasks) -> SmallTable:
    methods = list(dict.fromkeys(first for first, _ in one.outcomes))

    def shown(row: str, column: str) -> str:
        if row == column:
            return "-"
        found = one.outcomes[row, column]
        undecided = f" ({found['undecided']} ?)" if found["undecided"] else ""
        return f"{found['win']} / {found['tie']} / {found['loss']}{undecided}"

    return SmallTable(
        f"Wins / ties / losses: {one.metric}",
        "On how many tasks the method of the row beats the method of the column beyond chance (over seeds and test "
        "items, all pairs of a model and data set corrected by Holm), is within it, or is beaten; in brackets where "
        "nothing can be said.",
        ("", *methods),
        tuple((row, *(shown(row, column) for column in methods)) for row in methods),
    )


def _pairs(cells: Sequence[CellResults]) -> SmallTable:
    title = "Paired tests over data sets (Wilcoxon, Holm)"
    tests = pair_tests(cells)
    if not tests:
        return SmallTable(
            title,
            f"None: no two methods of a model have normalised scores on {MIN_DATA_SETS} data sets, and with fewer the "
            "test cannot reach p < 0.05 whatever the scores.",
        )
    rows = (
        (
            f"{test.model}: {test.first} against {test.second}",
            str(test.result.pairs),
            text.signed(test.result.median),
            f"{test.result.effect:+.2f}",
            text.p_value(test.result.p),
            text.p_value(test.corrected),
        )
        for test in tests
    )
    return SmallTable(
        title,
        "Signed-rank test on the normalised means over seeds (0 is the majority class, 1 is perfect), two-sided; p "
        "corrected for all pairs of a model; the effect is the "
        "rank-biserial correlation, positive where the first is greater.",
        ("model and methods", "data sets", "median difference", "effect", "p", "p (Holm)"),
        tuple(rows),
    )


def _searches(cells: Sequence[CellResults]) -> Iterator[SmallTable]:
    found = searches(cells)
    if not found:
        return
    rows = (
        (
            search.cell.title,
            str(search.counted),
            ", ".join(f"{text.score(value)} after {n}" for n, value in search.expected),
            "too few rates" if search.sensitivity is None else text.score(search.sensitivity),
        )
        for search in found
    )
    yield SmallTable(
        "What the search was worth",
        "Expected best validation score had so many of the trials been drawn at random (Dodge et al., 2019); and "
        "the score lost on average by a learning rate drawn from the declared range instead of the best one. A pruned "
        "trial counts with its last score, a diverged one as the majority class (the study's worst, where that is "
        "not known).",
        ("study", "trials that count", "expected best", "learning-rate sensitivity"),
        tuple(rows),
    )
