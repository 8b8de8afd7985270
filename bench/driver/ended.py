"""The trials of a cell that have ended, as the driver keeps them: without curves, and packed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

from bench.experiment.cell import Cell
from bench.runs.record import Provenance, TrialRecord
from bench.runs.spec import TrialSpec

_NOTHING = Provenance()


def light(record: TrialRecord, spec: TrialSpec, keep_curve: bool = False) -> TrialRecord:
    """Return a record without what only reports need."""
    return record.model_copy(
        update={
            "spec": spec,
            "train_curve": [],
            "predictions": None,
            "provenance": _NOTHING,
            "notes": {},
            "tokens_per_second": {},
            **({} if keep_curve else {"validation_curve": [], "memory": {}}),
        }
    )


class EndedTrials:
    """Light records of a cell's trials: JSON, deflated. Some 150 bytes each, where the objects take 2 KiB and more.

    Args:
        cell: theirs.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell, self._path = cell, cell.path
        self._packed: dict[int, bytes] = {}
        self._first = b""
        """The first record: the others are much like it, which saves half of what is left."""

    def add(self, record: TrialRecord) -> None:
        """Keep the light record of a trial that was not there."""
        number = record.spec.number
        assert number not in self._packed, f"{record.spec.title} ended twice"
        of_cell: Any = {"spec": {"cell": True}, "cell_path": True}  # the same for all of them
        text = record.model_dump_json(exclude=of_cell, exclude_defaults=True).encode()
        self._first = self._first or text
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=self._first)
        self._packed[number] = deflate.compress(text) + deflate.flush()

    def __contains__(self, number: int) -> bool:
        return number in self._packed

    def __len__(self) -> int:
        return len(self._packed)

    def __iter__(self) -> Iterator[TrialRecord]:
        """Yield them in the order in which they ended."""
        for packed in self._packed.values():
            data = json.loads(zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=self._first).decompress(packed))
            spec = TrialSpec(cell=self._cell, **data.pop("spec"))
            yield TrialRecord(spec=spec, cell_path=self._path, **data)
