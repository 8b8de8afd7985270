"""Who beats whom, how often over tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bench.reporting.statistics.verdict import Difference


@dataclass(frozen=True)
class Outcome:
    """How often one method beats another, over the tasks that both have."""

    wins: int = 0
    """Better beyond chance."""
    ties: int = 0
    """Within chance."""
    losses: int = 0
    undecided: int = 0
    """Nothing can be said."""


def outcomes(
    tasks: Iterable[Mapping[tuple[str, str], Difference]], greater_is_better: bool = True
) -> dict[tuple[str, str], Outcome]:
    """Return wins, ties and losses of each ordered pair of methods.

    Args:
        tasks: of each, the difference of every ordered pair of its methods (`Verdicts.pairs`).
        greater_is_better: whether a greater score is a better one.
    """
    found: dict[tuple[str, str], Outcome] = {}
    for task in tasks:
        for pair, between in task.items():
            found[pair] = _count(found.get(pair, Outcome()), between, greater_is_better)
    return found


def _count(outcome: Outcome, between: Difference, greater_is_better: bool) -> Outcome:
    if between.verdict == "within":
        return replace(outcome, ties=outcome.ties + 1)
    if between.verdict != "beyond" or between.value is None:
        return replace(outcome, undecided=outcome.undecided + 1)
    if (between.value > 0) == greater_is_better:
        return replace(outcome, wins=outcome.wins + 1)
    return replace(outcome, losses=outcome.losses + 1)
