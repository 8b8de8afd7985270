"""Repeats of the best trials: which run, when, and what they decide."""

from __future__ import annotations

import pytest
from demo import Pretend, demo_plan, demo_spec, drive, ended, nested_plan

from bench.reporting.progress import progress
from bench.runs.record import read_record
from bench.runs.selection import best_trial, to_repeat
from bench.runs.store import RecordStore


def unstable(trials, repeats=None):
    """Let trials and their repeats end with these scores, by number; what is not named, with 0.1; None diverges."""

    def play(spec):
        score = (repeats or {} if spec.kind == "repeat" else trials).get(spec.number, 0.1)
        if spec.kind != "final" and score is None:
            return ended(spec, status="diverged")
        return ended(spec, objective=score)

    return play


def asked_of(engine):
    return [(spec.kind, spec.number) for spec in engine.specs]


def finals_run(engine, number):
    """Whether the last finals are of this trial's configuration."""
    trials = {spec.number: spec.params for spec in engine.specs if spec.kind == "trial"}
    return [spec.params for spec in engine.specs if spec.kind == "final"][-2:] == [trials[number]] * 2


SIX = [("trial", n) for n in range(6)]
FINALS = [("final", 0), ("final", 1)]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_best_trials_are_repeated_and_the_best_mean_runs_the_finals(tmp_path, workers):
    planned = demo_plan(tmp_path / "r", study={"repeats": 3})
    play = unstable({4: 0.9, 1: 0.8, 2: 0.7, 5: 0.6}, {4: 0.2, 1: 0.75, 2: 0.7})
    engine = drive(planned, Pretend(workers=workers, specs=[], play=play))
    assert asked_of(engine) == [*SIX, ("repeat", 4), ("repeat", 1), ("repeat", 2), *FINALS]
    assert [spec.params for spec in engine.specs[6:9]] == [engine.specs[n].params for n in (4, 1, 2)]
    assert len({spec.seed for spec in engine.specs}) == 11
    assert finals_run(engine, 1), "0.9 and 0.2 is less than 0.8 and 0.75"
    assert asked_of(drive(planned)) == []


@pytest.mark.parametrize(
    ("repeats", "scores", "chosen"),
    [
        (2, {4: None, 1: 0.1}, 1),  # whatever a repeat that ends well has scored
        (1, {4: None}, 1),
        (2, {4: None, 1: None}, 2),
        (6, dict.fromkeys(range(6)), 4),  # nothing is left to choose
    ],
)
def test_a_trial_whose_repeat_fails_is_not_chosen(tmp_path, repeats, scores, chosen):
    play = unstable({4: 0.9, 1: 0.8, 2: 0.7}, scores)
    engine = drive(demo_plan(tmp_path / "r", study={"repeats": repeats}), Pretend(specs=[], play=play))
    assert finals_run(engine, chosen)


def test_repeats_that_are_asked_for_later_are_all_that_runs_unless_another_trial_is_best(tmp_path):
    scores = {4: 0.9, 1: 0.8, 2: 0.7}
    wanted = [("repeat", 4), ("repeat", 1), ("repeat", 2)]
    for folder, second, finals in (("r", {4: 0.9}, []), ("s", {1: 0.9}, FINALS)):
        drive(demo_plan(tmp_path / folder), Pretend(specs=[], play=unstable(scores)))
        more = drive(
            demo_plan(tmp_path / folder, study={"repeats": 3}), Pretend(specs=[], play=unstable(scores, second))
        )
        assert asked_of(more) == [*wanted, *finals]


def test_a_better_trial_that_comes_later_is_repeated_too_or_chosen_alone(tmp_path):
    play = unstable({4: 0.9, 1: 0.8, 7: 0.95}, {4: 0.9, 1: 0.8, 7: 0.94})
    for folder, repeats, ran in (("r", 2, [("repeat", 7)]), ("s", 0, [])):
        drive(demo_plan(tmp_path / folder, study={"repeats": 2}), Pretend(specs=[], play=play))
        more = drive(
            demo_plan(tmp_path / folder, study={"trials": 8, "repeats": repeats}), Pretend(specs=[], play=play)
        )
        assert asked_of(more) == [("trial", 6), ("trial", 7), *ran, *FINALS]
        assert finals_run(more, 7)


def test_a_repeat_whose_worker_died_is_run_again(tmp_path):
    died = []

    def play(spec):
        if spec.kind == "repeat" and spec.number == 1 and len(died) < 3:
            died.append(spec)
            return ended(spec, status="killed", reason="so")
        return unstable({4: 0.9, 1: 0.8}, {4: 0.3, 1: 0.8})(spec)

    planned = demo_plan(tmp_path / "r", study={"repeats": 2}, runtime={"retries": 1})
    first = drive(planned, Pretend(specs=[], play=play))
    assert asked_of(first)[6:] == [("repeat", 4), ("repeat", 1), ("repeat", 1), *FINALS]
    assert finals_run(first, 4), "a repeat that no worker survives says nothing good"
    assert asked_of(drive(planned, Pretend(specs=[], play=play))) == [("repeat", 1), ("repeat", 1), *FINALS]


def test_a_lost_repeat_counts_as_it_ended_until_it_runs_again(tmp_path):
    """Driver and report choose alike, whether its trial is still among the best or not."""
    play = unstable({4: 0.9, 1: 0.8}, {4: None, 1: 0.7})
    drive(demo_plan(tmp_path / "r", study={"repeats": 1}), Pretend(specs=[], play=play))
    planned = demo_plan(tmp_path / "r")
    assert asked_of(drive(planned, Pretend(specs=[], play=play), retry_failed=True)) == []
    planned = demo_plan(tmp_path / "r", study={"repeats": 1})
    again = drive(planned, Pretend(specs=[], play=unstable({}, {4: 0.9})), retry_failed=True)
    assert asked_of(again) == [("repeat", 4), *FINALS]


def test_a_repeat_of_a_trial_that_was_lost_is_not_one_of_its_successor(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"repeats": 2, "sampler": "tpe"})
    play = unstable({4: 0.9, 1: 0.8}, {4: 0.9, 1: 0.8})
    drive(planned, Pretend(specs=[], play=play, workers=3))
    (lost,) = planned.results.rglob("trial-00004.json")
    record = read_record(lost)
    changed = record.spec.model_copy(update={"params": {**record.spec.params, "num_virtual_tokens": 7}})
    lost.unlink()
    RecordStore(planned.results).write(ended(changed, objective=0.9))
    again = drive(planned, Pretend(specs=[], play=play))
    assert asked_of(again) == [("repeat", 4), *FINALS]


def test_a_configuration_that_was_tried_twice_is_repeated_once_and_ruled_out_once():
    """Some samplers propose a point again."""

    def record(kind, number, rate, **ending):
        return ended(demo_spec(None, number, kind, learning_rate=rate), **ending)

    trials = [
        record("trial", n, rate, objective=score) for n, rate, score in ((2, 0.1, 0.9), (5, 0.1, 0.8), (1, 0.2, 0.7))
    ]
    assert [one.spec.number for one in to_repeat(trials, 2)] == [2, 1]
    assert best_trial([*trials, record("repeat", 2, 0.1, status="diverged")]).spec.number == 1


def test_a_method_that_no_seed_changes_is_not_repeated(tmp_path):
    tried = {"tfidf_logistic": {"search": {"C": {"low": 0.1, "high": 10.0, "log": True}}}}
    engine = drive(demo_plan(tmp_path / "r", methods=[tried], study={"repeats": 2}))
    assert {spec.kind for spec in engine.specs} == {"trial", "final"}


def test_status_counts_the_repeats_that_are_wanted_and_all_that_ended(tmp_path):
    def counts():
        planned = demo_plan(tmp_path / "r", study={"repeats": 2})
        planned.manifest.write(planned.results)
        (found,) = progress(planned.results, planned.manifest)
        return found.trials, found.planned_trials, found.statuses

    drive(demo_plan(tmp_path / "r"))
    assert counts() == (6, 8, {"ok": 8})
    drive(
        demo_plan(tmp_path / "r", study={"repeats": 2}),
        Pretend(specs=[], play=unstable({}, {n: None for n in range(6)})),
    )
    assert counts()[:2] == (8, 8)
    assert counts()[2]["diverged"] == 2


def test_budgets_end_trials_and_not_their_repeats(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"repeats": 2, "budget": {"seconds": 2.5}})
    engine = drive(planned, Pretend(specs=[], play=unstable({2: 0.9, 0: 0.8}, {2: 0.1, 0: 0.8})))
    assert asked_of(engine) == [*SIX[:3], ("repeat", 2), ("repeat", 0), *FINALS]
    assert finals_run(engine, 0)


def test_nothing_is_repeated_where_there_is_no_choice(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"trials": 1, "repeats": 3})
    assert asked_of(drive(planned)) == [("trial", 0), *FINALS]
    planned = demo_plan(tmp_path / "s", study={"repeats": 3, "max_failures": None})
    assert asked_of(drive(planned, Pretend(specs=[], play=lambda spec: ended(spec, status="oom")))) == SIX


def test_nested_folds_repeat_the_best_of_their_own_trials(tmp_path):
    play = unstable({0: 0.5, 3: 0.6, 1: None, 5: None})
    engine = drive(nested_plan(tmp_path, repeats=1), Pretend(specs=[], play=play))
    assert asked_of(engine) == [*SIX, ("repeat", 0), ("repeat", 3), *FINALS]
    assert [spec.fold for spec in engine.specs[6:8]] == [0, 1]
