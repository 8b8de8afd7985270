"""How far each cell of a results folder is: what ``bench status`` and ``bench watch`` show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ValidationError

from bench.core.errors import BadInput
from bench.runs.manifest import Manifest, Planned
from bench.runs.record import Status, TrialRecord, read_record
from bench.runs.selection import best_trial, best_trials, finals_of, to_repeat, validation_score
from bench.runs.spec import TrialSpec


@dataclass(frozen=True)
class Progress:
    """How far a cell is."""

    labels: tuple[str, ...]
    """Model, data set and method."""
    trials: int
    """With those repeats that count."""
    planned_trials: int
    """With their repeats; where fewer trials end well, as many as can be repeated."""
    finals: int
    planned_finals: int
    statuses: dict[str, int]
    """How the trials, and the finals of the best of them, ended."""
    best: float | None
    """Best validation score so far."""


class _Cell(BaseModel):
    greater_is_better: bool = True


class _Spec(BaseModel):
    cell: _Cell
    kind: Literal["trial", "repeat", "final"]
    number: int
    params: dict[str, Any]


class _Ended(BaseModel):
    """What progress asks of every record, under the names that records have.

    pydantic makes Python objects of the fields that are named here alone: so 10,000 records of 13 KB are read in 0.7 s,
    whole in 8 s. Their checksums, another 2 s, are left to the driver and the report.
    """

    schema_version: Literal[1]
    spec: _Spec
    status: Status
    objective: float | None = None
    final: _Final | None = None


class _Final(BaseModel):
    """What it asks of finals besides: whether they are those that were planned."""

    spec: TrialSpec
    status: Status
    started_at: str


def progress(results: Path, manifest: Manifest) -> list[Progress]:
    """Return how far each current cell is, in the order of the experiment; nothing in the folder is changed.

    Raises:
        BadInput: a record that cannot be read.
    """
    try:
        return [
            _progress(results / "records" / path, manifest.labels(path), planned)
            for path, planned in manifest.cells.items()
        ]
    except OSError as error:
        raise BadInput(f"{error.filename or results}: cannot be read: {error.strerror or error}") from None


def _progress(folder: Path, labels: tuple[str, ...], planned: Planned) -> Progress:
    files = [(file, file.stat().st_mtime_ns) for file in folder.glob("[!.]*.json")]
    ended = [one for file in files if (one := _read(*file)) is not None]
    # Which runs count is asked where driver and report ask it; that looks at nothing that is not read here.
    runs = cast("list[TrialRecord]", ended)
    best = best_trial(runs)
    all_finals = cast("list[TrialRecord]", [one.final for one in ended if one.final is not None])
    finals = finals_of(best_trials(runs, planned.studies), filter(planned.counts, all_finals), planned.studies)
    searched = [one for one in ended if one.spec.kind != "final"]
    trials = sum(one.spec.kind == "trial" for one in searched)
    wanted = [one.spec.number for one in to_repeat(runs, planned.repeats // planned.studies, planned.studies)]
    repeats = sum(one.spec.kind == "repeat" and one.spec.number in wanted for one in searched)
    return Progress(
        labels=labels,
        trials=trials + repeats,
        planned_trials=planned.trials + (len(wanted) if trials >= planned.trials else planned.repeats),
        finals=len(finals),
        planned_finals=planned.finals,
        statuses=dict(Counter(one.status for one in searched) + Counter(final.status for final in finals)),
        best=validation_score(best, runs) if best else None,
    )


@lru_cache(maxsize=20_000)  # ``bench watch`` asks every few seconds, mostly of files that have not changed
def _read(path: Path, changed: int) -> _Ended | None:
    data = path.read_bytes()
    try:
        one = _Ended.model_validate_json(data)
        if one.spec.kind == "final":
            one.final = _Final.model_validate_json(data)
    except ValidationError:
        read_record(path)  # refuses a schema that this version does not know; else it is torn
        return None
    return one
