"""Which runs count: the best trial of each study of a cell, and the finals that ran its configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from bench.core.config import canonical_json
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
    repeats = [record for record in records if record.spec.kind == "repeat"]
    best = {}
    for study, trials in _ranked(records, studies).items():
        candidates = trials[:1]
        if _repeat_of(trials[0], repeats):
            confirmed = [trial for trial in trials if _finished(_repeat_of(trial, repeats))]
            others = [trial for trial in trials if _repeat_of(trial, repeats) is None]
            candidates = confirmed or others or candidates
        best[study] = min(candidates, key=lambda trial: _rank(trial, validation_score(trial, repeats)))
    return best


def best_trial(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return what `best_trials` returns for a cell with one study."""
    return best_trials(records).get(0)


def to_repeat(records: Iterable[TrialRecord], repeats: int, studies: int = 1) -> list[TrialRecord]:
    """Return the best trials of each study that are to be repeated, so many a study."""
    return [trial for trials in _ranked(records, studies).values() for trial in trials[:repeats]]


def validation_score(trial: TrialRecord, records: Iterable[TrialRecord] = ()) -> float:
    """Return the validation score of a finished trial: the mean of it and its repeat, if that is among the records."""
    runs = (trial, _repeat_of(trial, records))
    return fmean(run.objective for run in runs if run and run.status == "ok" and run.objective is not None)


def _ranked(records: Iterable[TrialRecord], studies: int) -> dict[int, list[TrialRecord]]:
    """Return the finished trials of each study by score, of equals the earlier first; of one configuration the best."""
    found: dict[int, dict[str, TrialRecord]] = {}
    finished = [record for record in records if record.spec.kind == "trial" and _finished(record)]
    for trial in sorted(finished, key=lambda trial: _rank(trial, validation_score(trial))):
        found.setdefault(trial.spec.number % studies, {}).setdefault(canonical_json(trial.spec.params), trial)
    return {study: list(found[study].values()) for study in sorted(found)}


def _repeat_of(trial: TrialRecord, records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return a trial's repeat. Of a trial whose record was lost another may have its number, with other values."""
    same = (r for r in records if r.spec.kind == "repeat" and r.spec.number == trial.spec.number)
    return next((record for record in same if record.spec.params == trial.spec.params), None)


def _finished(record: TrialRecord | None) -> bool:
    return record is not None and record.status == "ok" and record.objective is not None


def _rank(trial: TrialRecord, score: float) -> tuple[float, int]:
    return (-score if trial.spec.cell.greater_is_better else score, trial.spec.number)


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
