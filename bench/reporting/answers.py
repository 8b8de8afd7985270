"""What finals answered, made ready for verdicts: a score an item, agreement over seeds, and what chance scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from bench.core.entries import Entry
from bench.experiment.cell import Cell
from bench.metrics import Metric, metrics
from bench.reporting.statistics.runs import Runs, agreement, item_scores, run, runs
from bench.runs.record import TrialRecord


def metric_of(cell: Cell, name: str) -> Metric | None:
    """Return a metric over label indices of a cell's data set; None for another, or one of a plug-in not there now."""
    given = [Entry.model_validate(one) for one in cell.dataset.options.get("metrics", ())]
    entry = next((one for one in given if one.label == name), Entry(name=name, label=name))
    built = metrics.build(entry.name, entry.options, name) if entry.name in metrics else None
    return built if isinstance(built, Metric) else None


def answered(finals: Sequence[TrialRecord], metric: Metric | None, stochastic: bool) -> Runs | None:
    """Return the finals' scores item by item.

    Args:
        finals: those of a cell that ended well.
        metric: what they are scored by.
        stochastic: whether seeds change the result.

    Returns:
        None where a final holds no predictions, or where the metric cannot be computed without fetching anything.
    """
    if metric is None or not metric.ready() or not finals or not all(one.predictions for one in finals):
        return None
    compute = None if metric.share_of_right else metric.compute
    return runs(
        [
            run(_pair(one), answers.ids, item_scores(answers.predictions, answers.references, compute))
            for one in finals
            if (answers := one.predictions)
        ],
        stochastic,
    )


def seeds_agree(finals: Sequence[TrialRecord]) -> float | None:
    """Return how often two seeds answer the same item alike; None where finals have other items, or no predictions."""
    kept = [run(_pair(one), answers.ids, answers.predictions) for one in finals if (answers := one.predictions)]
    if len(kept) < len(finals) or any(one.items != kept[0].items for one in kept):
        return None
    return agreement([one.scores.tolist() for one in kept])


def one_label_only(finals: Sequence[TrialRecord]) -> bool:
    """Whether each final gave all items the same answer, as the majority class does."""
    return bool(finals) and all(one.predictions and len(set(one.predictions.predictions)) == 1 for one in finals)


def chance_score(finals: Sequence[TrialRecord], metric: Metric | None) -> float | None:
    """Return what always giving the most frequent label of the test items scores; None where it is not known."""
    kept = [one.predictions.references for one in finals if one.predictions and one.predictions.references]
    if metric is None or not metric.ready() or not kept:
        return None
    most = [Counter(references).most_common(1)[0][0] for references in kept]
    return fmean(metric.compute([one] * len(of), of) for one, of in zip(most, kept, strict=True))


def _pair(final: TrialRecord) -> int:
    """Return what pairs a final with one of another method: its fold, else its seed."""
    return final.spec.number if final.spec.cell.folds else final.spec.seed
