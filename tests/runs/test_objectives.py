"""What a study optimises, the Pareto front, and learning rates at the end of their range."""

from __future__ import annotations

import pytest
from demo import demo_cell, demo_spec, ended
from hypothesis import given
from hypothesis import strategies as st

from bench.core.distributions import Float
from bench.runs.objectives import objective_values, pareto_front
from bench.runs.range_ends import range_end_caution
from bench.runs.record import Parameters, PhaseMemory

CELL = demo_cell()


def trial(number: int, objective: float, trainable: int, **values):
    spec = demo_spec(CELL, number, **values.pop("params", {}))
    sizes = Parameters(total=10_000, trainable=trainable)
    return ended(spec, objective=objective, parameters=sizes, **values)


def test_each_objective_is_read_from_the_record():
    record = trial(0, 0.5, 30, seconds={"train": 2.0}, memory={"train": PhaseMemory(live_tensor_peak_bytes=7)})
    assert objective_values(record, ("score", "trainable_parameters", "memory", "seconds")) == [0.5, 30.0, 7.0, 2.0]
    assert objective_values(record, ("score", "adapter_bytes")) is None, "what was not measured is no value"
    assert objective_values(record.model_copy(update={"status": "oom"}), ("score",)) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12))
def test_the_front_is_what_a_comparison_of_all_pairs_leaves(points):
    records = [trial(n, float(score), cost) for n, (score, cost) in enumerate(points)]
    front = pareto_front(records, ("score", "trainable_parameters"))
    beaten = {p for p in points for q in points if q[0] >= p[0] and q[1] <= p[1] and q != p}
    assert {points[r.spec.number] for r in front} == set(points) - beaten
    assert len(front) == len({points[r.spec.number] for r in front}), "of equals the earliest alone"
    assert all(points.index(points[r.spec.number]) == r.spec.number for r in front)
    assert front == sorted(front, key=lambda r: -r.objective)


LOG, LINEAR = Float(low=1e-4, high=1e-2, log=True), Float(low=0.0, high=1.0)


@pytest.mark.parametrize(
    ("space", "best", "end", "wider"),
    [
        (LOG, 9.8e-3, "upper", "high: 0.1"),
        (LOG, 1.02e-4, "lower", "low: 1e-05"),
        (LOG, 1e-3, None, None),
        (LOG, 5e-3, None, None),
        (LINEAR, 1.0, "upper", "high: 1.5"),
        (LINEAR, 0.0, "lower", "low: -0.5"),
        (Float(low=0.1, high=1.0), 0.1, "lower", "low: 0.01"),
        (Float(low=0.1, high=0.1), 0.1, None, None),
    ],
)
def test_a_best_learning_rate_at_an_end_is_named_with_a_range_that_has_it_inside(space, best, end, wider):
    cell = CELL.model_copy(update={"search": {"learning_rate": space}})
    values = [best, (space.low + space.high) / 2, space.low + 0.4 * (space.high - space.low)]
    records = [
        ended(demo_spec(cell, n, learning_rate=value), objective=1.0 - n / 10, validation_curve=[])
        for n, value in enumerate(values)
    ]
    said = range_end_caution(records)
    expected = (
        f"glasslm-0.9m / trec6 / prompt_tuning: the best learning_rate ({best:.3g}) lies at the {end} end of its "
        f"range, {space.low:.3g} to {space.high:.3g}; a better one may lie beyond. "
        f"Widen it by 'search: {{learning_rate: {{{wider}}}}}'"
    )
    assert said == (expected if end else None)
    assert range_end_caution(records[:2]) is None, "two trials have searched nothing"


def test_a_cell_without_trials_or_without_that_parameter_has_no_end():
    assert range_end_caution([]) is None
    assert range_end_caution([trial(n, 0.5, 1, params={"num_virtual_tokens": 5}) for n in range(4)]) is None
