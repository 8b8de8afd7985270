"""Foreign runs, and which of them can be told apart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict

from bench.core.config import Config
from bench.core.errors import BadInput
from bench.reporting.statistics.components import Part, critical, p_value, standard_error
from bench.reporting.statistics.intervals import LEVEL
from bench.reporting.statistics.paired import MIN_ITEMS, holm
from bench.runs.objectives import undominated

FIRST = 10
"""Of so many runs with the highest scores it is said which pairs cannot be ordered."""


class ForeignFile(Config):
    """A part of another tool's file: the keys that are read, all others passed over."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True)
class ForeignRun:
    """One run of another tool, as its file has it."""

    source: str
    """The tool."""
    file: str
    name: str
    model: str
    task: str
    """What was tested: runs of one task and metric are held against each other."""
    metric: str
    score: float | None
    """On the test items; None with a reason."""
    error: float | None = None
    """Standard error of the score over test items."""
    items: int | None = None
    greater_is_better: bool = True
    trainable_parameters: int | None = None
    memory_bytes: int | None = None
    train_seconds: float | None = None
    adapter_bytes: int | None = None
    device: str | None = None
    reason: str | None = None
    """Why there is no score, or no standard error."""

    @property
    def part(self) -> Part | None:
        """The variance that the choice of test items gives to the score; None where it is not known."""
        if self.error is None or self.items is None or self.items < MIN_ITEMS or not self.error:
            return None
        return Part("items", self.error**2, self.items - 1)


COSTS = {
    "memory_bytes": "accelerator memory, most reserved (bytes)",
    "train_seconds": "train time (s)",
    "trainable_parameters": "trainable parameters",
}
"""What a score is held against, and the words for it."""


@dataclass(frozen=True)
class ForeignTable:
    """The runs of one task and metric; the best score first, those without one at the end."""

    runs: tuple[ForeignRun, ...]

    @property
    def title(self) -> str:
        """``MetaMathQA: test accuracy``."""
        return f"{self.runs[0].task}: {self.runs[0].metric}"

    @property
    def scored(self) -> tuple[ForeignRun, ...]:
        """The runs that have a score."""
        return tuple(run for run in self.runs if run.score is not None)

    @cached_property
    def corrected(self) -> dict[tuple[int, int], float]:
        """P of no difference over test items, for each pair of places in `runs`, all pairs corrected by Holm.

        The answers to single items are in no file, so the items of two runs count as independent: where the runs answer
        the same items, as they do, two methods agree more than that, and the true p is smaller.
        """
        found = {}
        for (one, first), (two, second) in combinations(enumerate(self.scored), 2):
            if first.part and second.part and first.score is not None and second.score is not None:
                found[one, two] = p_value([first.part, second.part], first.score - second.score)
        return dict(zip(found, holm(list(found.values())), strict=True))

    @property
    def unordered(self) -> list[tuple[ForeignRun, ForeignRun]] | None:
        """Return the pairs among the first runs of which no order can be told; None where nothing is known of items."""
        pairs = {pair: p for pair, p in self.corrected.items() if max(pair) < FIRST}
        return [(self.runs[a], self.runs[b]) for (a, b), p in pairs.items() if p >= 1 - LEVEL] if pairs else None

    @property
    def floor(self) -> float | None:
        """Return the smallest gap that could be told from chance between two of the first runs, were they the only two.

        None where nothing is known of the items.
        """
        known = combinations([run.part for run in self.scored[:FIRST] if run.part], 2)
        return min((critical(parts, LEVEL) * standard_error(parts) for parts in known), default=None)

    @cached_property
    def ranks(self) -> list[int | None]:
        """One more than the number of runs that are better beyond chance; None where that is not known."""
        beaten = [0] * len(self.runs)
        known = {place for pair in self.corrected for place in pair}
        for (_, worse), p in self.corrected.items():
            beaten[worse] += p < 1 - LEVEL
        return [1 + beaten[place] if place in known else None for place in range(len(self.runs))]

    def front(self, cost: str) -> list[ForeignRun]:
        """Return the runs that no other beats in score or cost without losing in the other, cheapest first."""
        valued = [(run, getattr(run, cost)) for run in self.scored if getattr(run, cost) is not None]
        sign = -1 if self.runs[0].greater_is_better else 1
        return [valued[place][0] for place in undominated([(value, sign * (run.score or 0)) for run, value in valued])]


def tables(runs: Iterable[ForeignRun]) -> list[ForeignTable]:
    """Group runs by task and metric, and sort each group."""
    groups: dict[tuple[str, str], list[ForeignRun]] = {}
    for run in runs:
        groups.setdefault((run.task, run.metric), []).append(run)
    return [ForeignTable(tuple(sorted(group, key=_order))) for group in groups.values()]


def _order(run: ForeignRun) -> tuple[bool, float, str]:
    score = run.score or 0.0
    return (run.score is None, -score if run.greater_is_better else score, run.name)


Kind = TypeVar("Kind", bound=ForeignFile)


def read_json(path: Path, kind: type[Kind]) -> Kind:
    """Read a file of another tool.

    Raises:
        BadInput: one line with the file and the key, where it is not what the tool writes.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path}: expected an object at the top, found {type(data).__name__}")
    return kind.parse(data, str(path))
