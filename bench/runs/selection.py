"""Which runs count: the best trial of each study of a cell, and the finals that ran its configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.runs.record import TrialRecord


def best_trials(records: Iterable[TrialRecord], studies: int = 1) -> dict[int, TrialRecord]:
    """Return the finished trial with the best validation score of each study; the earliest of equals.

    Driver and report both ask here, so that both speak of the same trials.

    Args:
        records: runs of one cell.
        studies: how many studies the cell has (`Cell.studies`); those without a finished trial are left out.
    """
    best: dict[int, TrialRecord] = {}
    for record in records:
        if record.spec.kind == "trial" and record.status == "ok" and record.objective is not None:
            study = record.spec.number % studies
            best[study] = min(best.get(study, record), record, key=_rank)
    return best


def best_trial(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the finished trial of a cell with the best validation score; the earliest of equals."""
    return best_trials(records).get(0)


def _rank(record: TrialRecord) -> tuple[float, int]:
    assert record.objective is not None
    sign = -1 if record.spec.cell.greater_is_better else 1
    return (sign * record.objective, record.spec.number)


def finals_of(best: Mapping[int, TrialRecord], records: Iterable[TrialRecord], studies: int = 1) -> list[TrialRecord]:
    """Return the finals that ran their study's best configuration, by number; where nothing is searched, all finals.

    One a seed: a final that was run again, to be tested on further data sets (`Cell.transfer`), is no further seed. A
    good end is preferred, then the later run. ``best`` is what `best_trials` returned.
    """
    finals = [r for r in records if r.spec.kind == "final"]
    if best:
        chosen = {study: trial.spec.params for study, trial in best.items()}
        finals = [r for r in finals if r.spec.params == chosen.get(r.spec.number % studies)]
    else:
        finals = [r for r in finals if not r.spec.cell.search]
    kept = {
        (record.spec.number, record.spec.seed): record
        for record in sorted(finals, key=lambda r: (r.spec.number, r.status == "ok", r.started_at))
    }
    return list(kept.values())
