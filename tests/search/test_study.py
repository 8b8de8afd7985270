"""One cell's search: points that do not depend on interruptions, and statuses that teach the sampler."""

from __future__ import annotations

import pytest
from demo import demo_cell, demo_spec, ended, score

from bench.runs.record import TrialRecord
from bench.search.study import Search


def run(search: Search, numbers: range, status: str = "ok") -> list[TrialRecord]:
    records = []
    for number in numbers:
        spec = demo_spec(search.cell, number, **search.ask(number))
        record = ended(spec, status=status)
        for evaluated in record.validation_curve:
            search.should_prune(number, evaluated.step, evaluated.metrics["accuracy"])
        search.tell(record)
        records.append(record)
    return records


def points(records: list[TrialRecord]) -> list[dict]:
    return [record.spec.params for record in records]


def test_the_first_trial_is_the_defaults_and_the_others_lie_in_the_range():
    first, *others = points(run(Search(demo_cell(), []), range(8)))

    assert first == {"learning_rate": 0.03, "num_virtual_tokens": 20}
    assert all(3e-3 <= p["learning_rate"] <= 3e-1 and 5 <= p["num_virtual_tokens"] <= 100 for p in others)
    assert len({p["learning_rate"] for p in others}) == len(others)


def test_a_default_outside_of_the_range_is_not_the_first_point():
    cell = demo_cell(methods=[{"prompt_tuning": {"search": {"num_virtual_tokens": {"low": 50}}}}])
    first = Search(cell, []).ask(0)
    assert first["learning_rate"] == 0.03
    assert first["num_virtual_tokens"] >= 50


def test_the_seed_of_the_experiment_decides_the_points():
    one, two = (points(run(Search(demo_cell(seed=seed), []), range(3))) for seed in (1, 2))
    assert one[0] == two[0]
    assert one[1:] != two[1:]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        *((status, "PRUNED") for status in ("oom", "diverged", "infeasible", "pruned")),
        *((status, "FAIL") for status in ("error", "timeout", "killed")),
        ("ok", "COMPLETE"),
    ],
)
def test_optuna_learns_from_walls_and_ignores_what_is_no_fault_of_the_point(status, told):
    live = Search(demo_cell(), [])
    records = run(live, range(1), status)
    again = Search(demo_cell(), records)
    for search in (live, again):
        (trial,) = search._study.trials
        assert trial.state.name == told
        assert trial.value == (score(records[0].spec) if told == "COMPLETE" else trial.value)


@pytest.mark.parametrize(
    ("pruner", "patience", "pruned"), [("median", 2, True), ("median", 9, False), ("none", 2, False)]
)
def test_a_trial_below_the_median_of_the_earlier_ones_is_pruned_once_there_are_enough(pruner, patience, pruned):
    search = Search(demo_cell(study={"pruner": pruner, "pruner_startup_trials": patience}), [])
    run(search, range(3))
    search.ask(3)
    assert search.should_prune(3, 1, -5.0) is pruned


def test_a_smaller_score_is_better_where_the_metric_says_so():
    cell = demo_cell(study={"pruner": "median", "pruner_startup_trials": 1}).model_copy(
        update={"greater_is_better": False}
    )
    search = Search(cell, [])
    run(search, range(2))
    for number, value, verdict in ((2, 5.0, True), (3, -5.0, False)):
        search.ask(number)
        assert search.should_prune(number, 1, value) is verdict


@pytest.mark.filterwarnings("error")
def test_a_trial_that_runs_again_reports_its_values_again_without_a_warning():
    search = Search(demo_cell(), [])
    spec = demo_spec(search.cell, 0, **search.ask(0))
    search.should_prune(0, 1, 0.1)
    search.should_prune(0, 1, 0.1)
    search.tell(ended(spec))
    assert len(search._study.trials) == 1
