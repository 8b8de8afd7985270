"""What a study optimises, read from records: the score, what a trial costs, and the Pareto front of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.experiment.cell import Cell
from bench.experiment.settings import Objective
from bench.runs.record import TrialRecord

_VALUES: Mapping[Objective, Callable[[TrialRecord], float | None]] = {
    "score": lambda r: r.objective,
    "trainable_parameters": lambda r: r.parameters.trainable if r.parameters else None,
    "adapter_bytes": lambda r: r.parameters.adapter_bytes if r.parameters else None,
    # Peak live tensors of training: the figure that does not depend on device and allocator.
    "memory": lambda r: r.memory["train"].live_tensor_peak_bytes if "train" in r.memory else None,
    "seconds": lambda r: r.seconds.get("train"),
}


def greater_is_better(cell: Cell, objective: Objective) -> bool:
    """Return the direction of an objective: costs are minimised, the score as its metric says."""
    return objective == "score" and cell.greater_is_better


def objective_values(record: TrialRecord, objectives: Sequence[Objective]) -> list[float] | None:
    """Return the values of a trial, or None if it did not end well or one of them was not measured."""
    if record.status != "ok":
        return None
    values = [_VALUES[name](record) for name in objectives]
    known = [float(value) for value in values if value is not None]
    return known if len(known) == len(values) else None


def pareto_front(records: Iterable[TrialRecord], objectives: Sequence[Objective]) -> list[TrialRecord]:
    """Return the trials of one cell that no other trial beats in one objective without losing in another.

    Of trials that are equal in all objectives the earliest stays. Ordered by the first objective, the best first.

    Finals and trials that did not end well are passed over.
    """
    trials = sorted((r for r in records if r.spec.kind == "trial"), key=lambda r: r.spec.number)
    valued = [(record, values) for record in trials if (values := objective_values(record, objectives)) is not None]
    costs = []
    for record, values in valued:
        signs = (-1 if greater_is_better(record.spec.cell, name) else 1 for name in objectives)
        costs.append([sign * value for sign, value in zip(signs, values, strict=True)])
    return [valued[place][0] for place in undominated(costs)]


def undominated(costs: Sequence[Sequence[float]]) -> list[int]:
    """Return the places of the points of a Pareto front, ordered by their coordinates; less is better in each.

    A point is on the front if no other is as low in all coordinates; of equal points the first one is.
    """
    front: list[int] = []
    # In lexicographic order whatever dominates a point comes before it; `sorted` keeps the first of equals first.
    for place in sorted(range(len(costs)), key=lambda place: tuple(costs[place])):
        if not any(all(a <= b for a, b in zip(costs[other], costs[place], strict=True)) for other in front):
            front.append(place)
    return front
