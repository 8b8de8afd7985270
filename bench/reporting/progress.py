"""How far each cell of a results folder is: what ``bench status`` and ``bench watch`` show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.reporting.compact import Compact, Row, is_large
from bench.reporting.folders import read_records
from bench.runs.manifest import Manifest
from bench.runs.record import TrialRecord
from bench.runs.selection import best_trial, finals_of


@dataclass(frozen=True)
class Progress:
    """How far a cell is."""

    cell_path: str
    trials: int
    planned_trials: int
    finals: int
    planned_finals: int
    statuses: dict[str, int]
    """How the trials, and the finals of the best of them, ended."""
    best: float | None
    """Best validation score so far."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Model, data set and method."""
        model, dataset, method, *_ = self.cell_path.split("/")
        return model, dataset, method


def progress(results: Path, manifest: Manifest) -> list[Progress]:
    """Return how far each current cell is, in the order of the experiment; nothing in the folder is changed.

    Of a large folder only the runs that may be the best, and finals, are read whole.
    """
    counted: dict[str, Counter[str]] = {path: Counter() for path in manifest.cells}
    kept: dict[str, list[TrialRecord]] = {path: [] for path in manifest.cells}
    if is_large(results):
        compact = Compact(results)
        rows: dict[str, list[Row]] = {path: [] for path in manifest.cells}
        for row in compact.rows:
            if row.cell_path in rows and row.status is not None:
                rows[row.cell_path].append(row)
        for path, members in rows.items():
            counted[path].update(row.status for row in members if row.kind == "trial" and row.status)
            kept[path] = [record for row in _may_count(members) if (record := compact.record(row)) is not None]
    else:
        for record in read_records(results)[0]:
            if record.cell_path in kept:
                kept[record.cell_path].append(record)
                if record.spec.kind == "trial":
                    counted[record.cell_path][record.status] += 1
    return [_progress(path, manifest, counted[path], kept[path]) for path in manifest.cells]


def _progress(path: str, manifest: Manifest, trials: Counter[str], records: Iterable[TrialRecord]) -> Progress:
    records = [record for record in records if manifest.cells[path].counts(record)]
    best = best_trial(records)
    finals = finals_of(best, records)
    return Progress(
        cell_path=path,
        trials=trials.total(),
        planned_trials=manifest.cells[path].trials,
        finals=len(finals),
        planned_finals=manifest.cells[path].finals,
        statuses=dict(trials + Counter(record.status for record in finals)),
        best=best.objective if best else None,
    )


def _may_count(rows: list[Row]) -> list[Row]:
    """Return the finals, and the earliest trials with the highest and with the lowest score: the best is one of them.

    Which way is better stands in the cell, and a cell's JSON is what we do not want to parse here.
    """
    finals = [row for row in rows if row.kind == "final"]
    scored = [(row.objective, row) for row in rows if row.kind == "trial" and row.status == "ok"]
    trials = [(score, row.number, row) for score, row in scored if score is not None]
    if not trials:
        return finals
    lowest = min(trials, key=lambda trial: (trial[0], trial[1]))[2]
    highest = min(trials, key=lambda trial: (-trial[0], trial[1]))[2]
    return [*finals, lowest, *([highest] if highest is not lowest else [])]
