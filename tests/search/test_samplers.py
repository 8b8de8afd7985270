"""Every sampler and pruner goes on after an interruption as if there had been none."""

from __future__ import annotations

import math

import pytest
from demo import demo_cell, demo_plan, demo_spec, ended, score
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.config import canonical_json
from bench.core.distributions import Choice, Float, Int
from bench.core.errors import BadInput
from bench.experiment.grid import grid_points, number_of_points
from bench.runs.record import Evaluated, Parameters, TrialRecord
from bench.search.study import Search


def curve_of(number: int, value: float, steps: int = 9) -> list[Evaluated]:
    """A curve of which some rise late, so that a pruner has something to decide."""
    return [
        Evaluated(step=step, metrics={"accuracy": value * step / steps + 0.05 * math.sin(number * 7 + step)})
        for step in range(1, steps + 1)
    ]


def run(search: Search, numbers: range) -> list[TrialRecord]:
    """Run trials as a driver would, one after the other; every seventh meets a wall."""
    records = []
    for number in numbers:
        spec = demo_spec(search.cell, number, **search.ask(number))
        curve, status = [], "ok"
        for evaluated in curve_of(number, score(spec)):
            curve.append(evaluated)
            if search.should_prune(number, evaluated.step, evaluated.metrics["accuracy"]):
                status = "pruned"
                break
        if number % 7 == 6:
            status = "oom"
        sizes = Parameters(total=1000, trainable=10 * spec.params["num_virtual_tokens"])
        record = ended(spec, status=status, validation_curve=curve, parameters=sizes)
        search.tell(record)
        records.append(TrialRecord.model_validate_json(record.model_dump_json()))
    return records


SAMPLERS = ["tpe", "random", "grid", "cmaes", "QMCSampler", "NSGAIISampler"]
PRUNERS = ["none", "median", "percentile", "successive_halving", "hyperband", "ThresholdPruner"]
TRAINING = {"max_steps": 9, "eval_steps": 1}


@pytest.mark.parametrize("done", [0, 1, 8, 15])
@pytest.mark.parametrize(
    "study",
    [
        *({"sampler": sampler, "pruner": "none"} for sampler in SAMPLERS),
        *({"pruner": pruner} for pruner in PRUNERS if pruner != "ThresholdPruner"),
        {"pruner": "ThresholdPruner", "pruner_options": {"lower": -1.0}},
        {"sampler": "cmaes", "pruner": "hyperband"},
        {"objectives": ["score", "trainable_parameters"]},
        {"objectives": ["score", "trainable_parameters"], "sampler": "NSGAIISampler"},
    ],
    ids=lambda study: "-".join(str(v) for v in study.values()),
)
def test_an_interrupted_study_goes_on_with_the_same_points_and_the_same_verdicts(study, done):
    cell = demo_cell(study=study, training=TRAINING)
    whole = run(Search(cell, []), range(18))
    rest = run(Search(cell, reversed(whole[:done])), range(done, 18))
    assert [(r.spec.params, r.status, len(r.validation_curve)) for r in rest] == [
        (r.spec.params, r.status, len(r.validation_curve)) for r in whole[done:]
    ]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_default_values_are_the_first_trial_of_every_sampler(sampler):
    assert Search(demo_cell(study={"sampler": sampler}), []).ask(0) == {"learning_rate": 0.03, "num_virtual_tokens": 20}


@pytest.mark.parametrize("pruner", ["percentile", "successive_halving", "hyperband"])
def test_every_pruner_stops_a_trial_that_is_far_behind(pruner):
    search = Search(demo_cell(study={"pruner": pruner, "pruner_startup_trials": 2}, training=TRAINING), [])
    run(search, range(6))
    stopped = 0
    for number in range(6, 12):
        search.ask(number)
        stopped += any(search.should_prune(number, step, -5.0) for step in range(1, 10))
    assert stopped >= 4


def test_the_sampler_leaves_a_region_where_trials_run_out_of_memory():
    """Half of the range is a wall. A sampler that ignored it would go on spending half of its trials there."""
    search = Search(demo_cell(study={"pruner": "none"}), [])
    walls = 0
    for number in range(60):
        spec = demo_spec(search.cell, number, **search.ask(number))
        wall = spec.params["num_virtual_tokens"] > 50
        walls += wall
        search.tell(ended(spec, status="oom") if wall else ended(spec))
    assert walls < 20


def test_workers_at_the_same_time_get_different_points():
    search = Search(demo_cell(), [])
    run(search, range(8))
    rates = [search.ask(number)["learning_rate"] for number in range(8, 14)]
    assert len(set(rates)) == 6


def test_a_sampler_that_cannot_search_the_space_is_said_so():
    search = Search(demo_cell(study={"sampler": "BruteForceSampler"}), [])
    search.ask(0)
    with pytest.raises(BadInput, match=r"study\.sampler: BruteForceSampler cannot search glasslm-0\.9m / trec6 / "):
        search.ask(1)


def test_a_grid_has_each_point_once_and_the_defaults_first():
    space = {"a": Float(low=1e-4, high=1e-1, log=True), "b": Int(low=1, high=3), "c": Choice(choices=("x", None))}
    points = grid_points(space, {"a": 0.01, "b": 2, "c": "x"})
    assert points[0] == {"a": 0.01, "b": 2, "c": "x"}
    assert len(points) == 1 + 4 * 3 * 2 - sum(p == points[0] for p in points[1:])
    assert len({str(p) for p in points}) == len(points)
    assert sorted({round(p["a"], 12) for p in points[1:]}) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])


def test_a_grid_plans_no_more_trials_than_it_has_points():
    study = {"sampler": "grid", "sampler_options": {"points": 2}, "trials": 50}
    (cell,) = demo_plan(study=study).cells
    assert cell.study.trials == 5
    assert len({str(p.spec.params) for p in run(Search(cell, []), range(5))}) == 5


def test_a_sampler_whose_package_is_missing_is_said_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(BadInput, match="GPSampler"):
        demo_plan(study={"sampler": "GPSampler", "sampler_options": {"deterministic_objective": 1, "nope": 2}})


@pytest.mark.parametrize("study", [{"pruner": "median"}, {"pruner": "hyperband"}, {"sampler": "random"}])
def test_a_trial_that_was_lost_in_the_middle_goes_as_it_went_the_first_time(study):
    cell = demo_cell(study={"pruner": "median", "trials": 18, "pruner_startup_trials": 1, **study}, training=TRAINING)
    whole = run(Search(cell, []), range(18))
    assert {record.status for record in whole} >= {"ok", "pruned"}
    for lost in range(2, 17):
        for again in ({}, {lost: whole[lost].spec.params}):
            search = Search(cell, [r for r in whole if r.spec.number != lost], again)
            (record,) = run(search, range(lost, lost + 1))
            assert (record.spec.params, record.status, len(record.validation_curve)) == (
                whole[lost].spec.params,
                whole[lost].status,
                len(whole[lost].validation_curve),
            )


SMALL = {"num_virtual_tokens": [4, 16, 32], "learning_rate": 0.1}


def small_cell(**study):
    return demo_cell(methods=[{"prompt_tuning": {"num_virtual_tokens": 16, "search": SMALL}}], study=study)


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "QMCSampler", "NSGAIISampler", "GPSampler"])
def test_a_small_discrete_space_is_tried_whole_before_a_point_is_tried_again(sampler):
    cell = small_cell(sampler=sampler, trials=10)
    assert cell.study.trials == 3
    tried = [record.spec.params["num_virtual_tokens"] for record in run(Search(cell, []), range(5))]
    assert tried[0] == 16
    assert sorted(tried[:3]) == [4, 16, 32]
    assert set(tried[3:]) <= {4, 16, 32}, "more trials than points, which no plan asks for"


@given(
    st.lists(st.sampled_from([None, True, 1, 2, "a", 0.5]), min_size=1, max_size=4, unique=True),
    st.integers(1, 4),
    st.integers(0, 8),
)
@settings(max_examples=20, deadline=None)
def test_points_of_a_small_space_are_new_and_do_not_depend_on_an_interruption(choices, high, done):
    space = {"a": Choice(choices=tuple(choices)), "b": Int(low=1, high=high), "c": Float(low=0.5, high=0.5)}
    cell = demo_cell().model_copy(update={"search": space})
    size = len(choices) * high
    assert number_of_points(space) == size

    def trials(search, numbers):
        found = []
        for number in numbers:
            spec = demo_spec(cell, number, **search.ask(number))
            search.tell(ended(spec, objective=0.1, validation_curve=[]))
            found.append(spec)
        return found

    whole = trials(Search(cell, []), range(size))
    assert len({canonical_json(spec.params) for spec in whole}) == size
    done = min(done, size)
    records = [ended(spec, objective=0.1, validation_curve=[]) for spec in whole[:done]]
    assert trials(Search(cell, records), range(done, size)) == whole[done:]


def test_a_trial_that_was_lost_among_others_gets_none_of_their_points_in_a_small_space():
    cell = small_cell(sampler="random")
    for seed in range(8):
        search = Search(cell.model_copy(update={"seed": seed}), [])
        points = {number: search.ask(number) for number in range(3)}
        assert sorted(point["num_virtual_tokens"] for point in points.values()) == [4, 16, 32]
        known = [ended(demo_spec(search.cell, number, **points[number])) for number in (0, 2)]
        assert Search(search.cell, known).ask(1) == points[1]
        other = [known[0], ended(demo_spec(search.cell, 2, **points[1]))]  # as if two workers had been quicker
        assert Search(search.cell, other).ask(1) == points[2]


def test_a_plan_says_where_there_are_fewer_points_than_trials():
    planned = demo_plan(methods=[{"prompt_tuning": {"search": SMALL}}, "lora"], study={"trials": 10})
    assert planned.notes == (
        "glasslm-0.9m / trec6 / prompt_tuning: 3 trials instead of 10: there are no more points to try",
    )
    assert [cell.study.trials for cell in planned.cells] == [3, 10]
    assert demo_plan(methods=[{"prompt_tuning": {"search": SMALL}}], study={"trials": 3}).notes == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("GridSampler", "study.sampler: GridSampler needs its points; write 'grid', which takes them from the search"),
        ("PartialFixedSampler", "study.sampler: Optuna has no sampler 'PartialFixedSampler' for this"),
        ("TPESampeler", "study.sampler: Optuna has no sampler 'TPESampeler' for this; did you mean 'TPESampler'?"),
    ],
)
def test_a_sampler_that_cannot_be_used_is_never_what_is_proposed(name, said):
    with pytest.raises(BadInput) as error:
        demo_plan(study={"sampler": name})
    assert said in str(error.value)
    assert f"did you mean '{name}'" not in str(error.value)


def test_a_scrambled_sequence_is_one_sequence():
    """Sixteen points of a scrambled Sobol sequence lie one in each sixteenth of the range."""
    study = {"sampler": "QMCSampler", "sampler_options": {"scramble": True}, "trials": 17, "pruner": "none"}
    cell = demo_cell(study=study)
    rates = [record.spec.params["learning_rate"] for record in run(Search(cell, []), range(17))]
    space = cell.search["learning_rate"]
    place = [math.log(rate / space.low) / math.log(space.high / space.low) for rate in rates[1:]]
    assert sorted(int(16 * at) for at in place) == list(range(16))
