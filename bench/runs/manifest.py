"""``experiment.json``: what a results folder holds, which of its cells are current, and how to repeat it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from bench.core.config import Config
from bench.core.errors import BadInput
from bench.core.files import write_atomic
from bench.core.labels import slug
from bench.core.plugins import PluginFile
from bench.experiment.cell import Cell
from bench.experiment.terms import EQUAL_STEPS
from bench.runs.record import TrialRecord

FILENAME = "experiment.json"


class Planned(Config):
    """How many runs a cell is to have."""

    trials: int
    finals: int
    targets: tuple[str, ...] | None = None
    """What finals are to be tested on besides their own test split (`Cell.targets`); None of an earlier version."""
    repeats: int = Field(0, exclude_if=lambda repeats: not repeats)
    """Trials that are to be repeated."""
    studies: int = 1
    """How many studies its trials belong to (`Cell.studies`)."""
    splits: str = "fixed"
    """Whether finals share one draw of the splits, or each has its own (`Finals.splits`)."""
    identity: dict[str, Any] | None = None
    """All that decides the cell's results (`Cell.identity`), to say what has changed; None of an earlier version."""

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Return what is planned for a cell."""
        return cls(
            trials=cell.study.trials,
            repeats=cell.planned_repeats,
            finals=cell.planned_finals,
            targets=cell.targets,
            studies=cell.studies,
            splits=cell.finals.splits,
            identity=cell.identity,
        )

    def holds(self, record: TrialRecord) -> bool:
        """Whether a run of the cell belongs in its row: not a final on other draws of the splits, or one too many."""
        spec = record.spec
        return spec.kind != "final" or (self.splits == spec.cell.finals.splits and spec.number < self.finals)

    def counts(self, record: TrialRecord) -> bool:
        """Whether it is besides one of those that were planned: not a final that was asked for other tests."""
        return self.holds(record) and (record.spec.kind != "final" or self.targets in (None, record.spec.cell.targets))


class Manifest(Config):
    """What the last ``bench run`` into a results folder was asked for."""

    experiment: dict[str, Any]
    """The experiment as it was validated; a plain mapping, so that reports can read those of other versions."""
    file: str | None = None
    """The experiment file, relative to where the command ran; None if the experiment came from code."""
    changes: tuple[str, ...] = ()
    """What ``--set`` changed."""
    plugins: tuple[PluginFile, ...] = ()
    """Plug-in files that the experiment names, or ``--plugin`` did, as they were."""
    cells: dict[str, Planned]
    """The current cells by their path; records of others are of an earlier version of the experiment."""

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return str(self.experiment.get("name", ""))

    def labels(self, path: str) -> tuple[str, ...]:
        """Return model, data set and method of a cell by its path, as the experiment calls them."""
        entries = (self.experiment.get(kind, ()) for kind in ("models", "datasets", "methods"))
        known = [{slug(entry["label"]): str(entry["label"]) for entry in kind} for kind in entries]
        return tuple(labels.get(part, part) for labels, part in zip(known, path.split("/"), strict=False))

    @property
    def terms(self) -> str:
        """On what terms the experiment compares (`Experiment.terms`), equal steps where it does not say."""
        return str(self.experiment.get("terms", EQUAL_STEPS))

    @property
    def command(self) -> str | None:
        """The command that repeats the run, or None if the experiment came from code."""
        if self.file is None:
            return None
        changes = [part for change in self.changes for part in ("--set", change)]
        own = self.experiment.get("plugins") or []
        added = [part for plugin in self.plugins if plugin.file not in own for part in ("--plugin", plugin.file)]
        return shlex.join(["bench", "run", self.file, *changes, *added])

    @classmethod
    def read(cls, root: Path) -> Self | None:
        """Return the manifest of a results folder, or None if it has none.

        Raises:
            BadInput: the file is damaged.
        """
        path = root / FILENAME
        if not path.exists():
            return None
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError:
            raise BadInput(
                f"{path}: is damaged; remove it, and 'bench run' with the same experiment writes it anew"
            ) from None

    def write(self, root: Path) -> None:
        """Write the manifest of a results folder, atomically."""
        write_atomic(root / FILENAME, (self.model_dump_json(indent=1) + "\n").encode())


def without_password(url: str) -> str:
    """Return a database URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def portable_path(path: Path) -> str:
    """Return a path that says nothing about this machine: relative to here, or else the file's name alone."""
    if path.is_absolute():
        here = Path.cwd()
        path = path.relative_to(here) if path.is_relative_to(here) else Path(path.name)
    return path.as_posix()
