"""Which runs count: the best trial of each study of a cell, and the finals that ran its configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from bench.runs.record import TrialRecord


def best_trials(records: Iterable[TrialRecord], studies: int = 1) -> dict[int, TrialRecord]:
    """Return the finished trial with the best validation score of each study; the earliest of equals.

    Where that trial was repeated (`bench.experiment.settings.Study.repeats`), the one with the best mean of trial and
    repeat. Failed repeats rule their trials out: if no repeat ended well, the best of the other trials is returned.
    Driver and report both ask here, so that both speak of the same trials.

    Args:
        records: runs of one cell.
        studies: how many studies the cell has (`Cell.studies`); those without a finished trial are left out.
    """
    records = list(records)
    repeats = {record.spec.number: record for record in records if record.spec.kind == "repeat"}
    best = {}
    for study, trials in ranked_trials(records, studies).items():
        candidates = trials[:1]
        if candidates[0].spec.number in repeats:
            confirmed = [trial for trial in trials if _finished(repeats.get(trial.spec.number))]
            others = [trial for trial in trials if trial.spec.number not in repeats]
            candidates = confirmed or others or candidates
        best[study] = min(candidates, key=lambda trial: _rank(trial, validation_score(trial, repeats.values())))
    return best


def ranked_trials(records: Iterable[TrialRecord], studies: int = 1) -> dict[int, list[TrialRecord]]:
    """Return the finished trials of each study, the best validation score first, the earlier of equals first."""
    found: dict[int, list[TrialRecord]] = {}
    for record in records:
        if record.spec.kind == "trial" and _finished(record):
            found.setdefault(record.spec.number % studies, []).append(record)
    return {study: sorted(trials, key=_rank) for study, trials in found.items()}


def best_trial(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return what `best_trials` returns for a cell with one study."""
    return best_trials(records).get(0)


def validation_score(trial: TrialRecord, records: Iterable[TrialRecord]) -> float:
    """Return the validation score of a finished trial: the mean of it and its repeat, if that is among the records."""
    runs = [trial, *(r for r in records if r.spec.kind == "repeat" and r.spec.number == trial.spec.number)]
    return fmean(run.objective for run in runs if _finished(run) and run.objective is not None)


def _finished(record: TrialRecord | None) -> bool:
    return record is not None and record.status == "ok" and record.objective is not None


def _rank(record: TrialRecord, score: float | None = None) -> tuple[float, int]:
    score = record.objective if score is None else score
    assert score is not None
    sign = -1 if record.spec.cell.greater_is_better else 1
    return (sign * score, record.spec.number)


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
