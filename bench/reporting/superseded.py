"""Finished cells that no longer count because a setting was changed: which ones, and what differs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bench.experiment.cell import Cell
from bench.runs.manifest import Manifest
from bench.runs.record import read_record

ADVICE = "To keep both, run the changed experiment into another folder (bench run ... --results DIR)"
_MOST_SHOWN = 20


def first_ones(found: Sequence[str]) -> list[str]:
    """Return as many as a reader wants to see, and the number of the others."""
    more = len(found) - _MOST_SHOWN
    return [*found[:_MOST_SHOWN], *([f"{more} more cells"] if more > 0 else [])]


def told(found: Sequence[str]) -> Iterator[str]:
    """Name the cells, a line each, and say how to keep both."""
    yield from (f"of earlier settings, not shown: {cell}" for cell in first_ones(found))
    if found:
        yield ADVICE


def superseded(cells: Iterable[Cell], manifest: Manifest) -> list[str]:
    """Say of cells that are not current how they differ from the current ones of the same labels.

    Such as ``tiny / trec6 / lora (training.max_steps 100, now 3)``.
    """
    identities = {tuple(path.split("/")[:3]): planned.identity for path, planned in manifest.cells.items()}
    found = []
    for cell in cells:
        place = tuple(cell.path.split("/")[:3])
        if place not in identities:
            changes = "no longer in the experiment"
        elif (now := identities[place]) is None:  # of an earlier version of ours
            changes = "other settings"
        else:
            changes = "; ".join(_changes(cell.identity, now)) or "other settings"
        found.append(f"{cell.title} ({changes})")
    return found


def superseded_in(results: Path, manifest: Manifest) -> list[str]:
    """Return the cells below a results folder that have records and are not current; a record of each is read."""
    root = results / "records"
    cells = []
    for folder in sorted(root.glob("*/*/*/*")):
        if folder.relative_to(root).as_posix() not in manifest.cells:
            records = (read_record(file) for file in sorted(folder.glob("[!.]*.json")))
            cells += [record.spec.cell for record in islice(filter(None, records), 1)]
    return superseded(cells, manifest)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = dict(_flat(before)), dict(_flat(now))
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            yield f"{key} {_shown(old.get(key))}, now {_shown(new.get(key))}"


def _flat(data: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings under their dotted keys."""
    if isinstance(data, Mapping) and data:
        for name, value in data.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, data


def _shown(value: Any) -> str:
    if value in (None, {}):
        return "not set"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
