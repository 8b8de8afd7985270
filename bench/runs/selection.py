"""Which runs count: the best trial of a cell, and the finals that ran its configuration."""

from __future__ import annotations

from collections.abc import Iterable

from bench.runs.record import TrialRecord


def best_trial(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the finished trial with the best validation score; the earliest of equals.

    Driver and report both ask here, so that both speak of the same trial.
    """
    done = [r for r in records if r.spec.kind == "trial" and r.status == "ok" and r.objective is not None]
    return min(done, key=_rank, default=None)


def _rank(record: TrialRecord) -> tuple[float, int]:
    assert record.objective is not None
    sign = -1 if record.spec.cell.greater_is_better else 1
    return (sign * record.objective, record.spec.number)


def finals_of(best: TrialRecord | None, records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the finals that ran the best trial's configuration, by number; where nothing is searched, all finals.

    One a seed: a final that was run again, to be tested on further data sets (`Cell.transfer`), is no further seed. A
    good end is preferred, then the later run.
    """
    finals = [r for r in records if r.spec.kind == "final"]
    if best is None:
        finals = [r for r in finals if not r.spec.cell.search]
    else:
        finals = [r for r in finals if r.spec.params == best.spec.params]
    kept = {
        (record.spec.number, record.spec.seed): record
        for record in sorted(finals, key=lambda r: (r.spec.number, r.status == "ok", r.started_at))
    }
    return list(kept.values())
