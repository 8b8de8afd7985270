"""What finals answered, made ready for verdicts: a score an item, agreement over seeds, and what chance scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from bench.core.entries import Entry
from bench.experiment.cell import Cell
from bench.metrics import BaseMetric, Metric, metrics
from bench.reporting.statistics.runs import Run, Runs, agreement, item_scores, run, runs
from bench.runs.record import TrialRecord


def metric_of(cell: Cell, name: str) -> BaseMetric | None:
    """Return a metric of a cell's data set; None for one of a plug-in that is not there now."""
    given = [Entry.model_validate(one) for one in cell.dataset.options.get("metrics", ())]
    entry = next((one for one in given if one.label == name), Entry(name=name, label=name))
    return metrics.build(entry.name, entry.options, name) if entry.name in metrics else None


def answered(
    finals: Sequence[TrialRecord], name: str, metric: BaseMetric | None, stochastic: bool, failed: int = 0
) -> Runs | None:
    """Return the scores by a metric, item by item, of the finals of a cell that ended well; ``failed`` others did not.

    None where a final holds no scores of its items, and they cannot be computed without fetching anything.
    """
    found = [_items(one, name, metric) for one in finals]
    kept = [one for one in found if one is not None]
    if not kept or len(kept) < len(found):
        return None
    return runs(kept, stochastic, failed, finals[0].spec.cell.folds)


def _items(final: TrialRecord, name: str, metric: BaseMetric | None) -> Run | None:
    """Return a final's scores: those of its record, or those of the labels that were chosen."""
    if final.answers is not None and name in final.answers.scores:
        return run(_pair(final), final.answers.ids, final.answers.scores[name])
    chosen = final.predictions
    if chosen is None or not isinstance(metric, Metric) or not metric.ready():
        return None
    compute = None if metric.share_of_right else metric.compute
    return run(_pair(final), chosen.ids, item_scores(chosen.predictions, chosen.references, compute))


def seeds_agree(finals: Sequence[TrialRecord]) -> float | None:
    """Return how often two seeds answer the same item alike; None where finals have other items, or none are known."""
    kept = [given for one in finals if (given := _answers(one)) is not None]
    if len(kept) < len(finals) or any(one.items != kept[0].items for one in kept):
        return None
    return agreement([one.scores.tolist() for one in kept])


def _answers(final: TrialRecord) -> Run | None:
    """Return what a final answered, as numbers that are equal where answers are."""
    if (chosen := final.predictions) is not None:
        return run(_pair(final), chosen.ids, chosen.predictions)
    if final.answers is not None and final.answers.hashes:
        return run(_pair(final), final.answers.ids, [int(one[:12], 16) for one in final.answers.hashes])
    return None


def chance_score(finals: Sequence[TrialRecord], metric: BaseMetric | None) -> float | None:
    """Return what always giving the most frequent label of the test items scores; None where it is not known."""
    kept = [one.predictions.references for one in finals if one.predictions and one.predictions.references]
    if not isinstance(metric, Metric) or not metric.ready() or not kept:
        return None
    most = [Counter(references).most_common(1)[0][0] for references in kept]
    return fmean(metric.compute([one] * len(of), of) for one, of in zip(most, kept, strict=True))


def _pair(final: TrialRecord) -> int:
    """Return what pairs a final with one of another method: its fold, else its seed."""
    return final.spec.number if final.spec.cell.folds else final.spec.seed
