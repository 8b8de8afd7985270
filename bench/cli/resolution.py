"""What a planned experiment can tell apart, a line a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from bench.core.grouping import grouped
from bench.experiment.cell import Cell
from bench.experiment.preparing import items_to_test
from bench.reporting.answers import metric_of
from bench.reporting.statistics.intervals import MIN_SEEDS
from bench.reporting.statistics.paired import MIN_ITEMS
from bench.reporting.statistics.resolution import discordance, planned_resolution
from bench.reporting.text import number_of

ACCURACY, CORRELATION, SEED_SD = 0.6, 0.5, 0.02
"""What is assumed before anything has run, as in the table of docs/statistics.md."""


def planned_resolutions(cells: Sequence[Cell]) -> Iterator[str]:
    """Say for each data set that is at hand under which size gaps in accuracy will be within chance.

    Folds and redrawn splits, whose variance depends on the data, are left out, and so are metrics that are no share of
    right answers: their spread is not known before something has run.
    """
    sizes = items_to_test(cells)
    for dataset, members in grouped(cells, lambda cell: cell.dataset.label).items():
        trained = [cell.planned_finals for cell in members if cell.stochastic]
        if dataset not in sizes or not trained or any(cell.folds or cell.redraws for cell in members):
            continue
        seeds, items = min(trained), sizes[dataset]
        methods = _compared(members)
        if methods < 2 or not seeds:
            continue
        floor = planned_resolution(seeds, items, discordance(ACCURACY, CORRELATION), SEED_SD, methods)
        terms = f"data set {dataset}: with {number_of(seeds, 'seed')} and {number_of(items, 'test item')}"
        if floor is None:
            yield (
                f"{terms} nothing can be said about which gaps are chance; {MIN_SEEDS} seeds and {MIN_ITEMS} test "
                "items are the least"
            )
        elif (metric := metric_of(members[0], members[0].objective)) and metric.share_of_right:
            yield (
                f"{terms}, gaps between {number_of(methods, 'method')} under {100 * floor:.1f} points of accuracy "
                f"cannot be told apart (assumed: accuracy {ACCURACY:g}, correlation of methods {CORRELATION:g}, "
                f"standard deviation over seeds {SEED_SD:g})"
            )


def _compared(cells: Sequence[Cell]) -> int:
    """Return how many methods are held against each other at most: those of a model, and those without one."""
    models = Counter(cell.model.label if cell.model else None for cell in cells)
    without = models.pop(None, 0)
    return without + max(models.values(), default=0)
