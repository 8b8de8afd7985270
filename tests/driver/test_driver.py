"""The driver: what runs, in which order, what is kept, and who may use a results folder."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from demo import EXPERIMENT, Pretend, asked, demo_plan, demo_spec, drive, ended

from bench.api import plan
from bench.core.errors import BadInput
from bench.driver.driver import Driver
from bench.driver.watcher import Watcher
from bench.reporting.progress import progress
from bench.runs.manifest import Manifest
from bench.runs.record import read_record
from bench.runs.selection import best_trial, to_repeat
from bench.runs.store import RecordStore


def stored(planned):
    """The records on disk, by kind and status."""
    return Counter((record.spec.kind, record.status) for record in RecordStore(planned.results))


class Heard(Watcher):
    def __init__(self):
        self.log = []

    def begin(self, done):
        self.log.append(("begin", len(done)))

    def retried(self, record):
        self.log.append(("retried", record.status))

    def finished(self, record):
        self.log.append(("finished", record.status))

    def end(self):
        self.log.append(("end", None))


@pytest.mark.parametrize("workers", [1, 2])
def test_finals_come_after_the_trials_and_run_the_best_of_them_on_fresh_seeds(tmp_path, workers):
    planned = demo_plan(tmp_path / "r")
    engine = drive(planned, Pretend(workers=workers, specs=[]))

    assert [spec.kind for spec in engine.specs] == ["trial"] * 6 + ["final"] * 2
    trials, finals = engine.specs[:6], engine.specs[6:]
    best = max(trials, key=lambda spec: ended(spec).objective)
    assert all(spec.params == best.params for spec in finals)
    assert len({spec.seed for spec in engine.specs}) == 8
    assert stored(planned) == {("trial", "ok"): 6, ("final", "ok"): 2}


def nested_plan(tmp_path, **study):
    rows = "\n".join(f"text {n},{'xy'[n % 2]}" for n in range(20))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}\n")
    local = {"local": {"path": str(tmp_path / "t.csv"), "folds": 2, "nested": True}}
    return demo_plan(tmp_path / "r", datasets=[local], study={"trials": 3, **study})


def test_nested_folds_each_choose_by_their_own_trials(tmp_path):
    played = {}

    def play(spec):  # the later, the better, or the defaults might be best in both
        return played.setdefault(spec.hash, ended(spec, objective=float(spec.number)))

    engine = drive(nested_plan(tmp_path), Pretend(specs=[], play=play))
    trials, finals = engine.specs[:6], engine.specs[6:]
    assert [spec.kind for spec in finals] == ["final"] * 2
    assert trials[0].params == trials[1].params  # each study begins with the defaults
    for final in finals:
        mine = [spec for spec in trials if spec.fold == final.fold]
        assert len(mine) == 3
        assert final.params == max(mine, key=lambda spec: played[spec.hash].objective).params
    assert finals[0].params != finals[1].params


def test_a_budget_that_is_used_up_leaves_no_nested_fold_without_a_final(tmp_path):
    planned = nested_plan(tmp_path, budget={"seconds": 0.4})
    engine = drive(planned)
    assert [spec.kind for spec in engine.specs] == ["trial"] * 2 + ["final"] * 2
    assert sorted(spec.fold for spec in engine.specs[2:]) == [0, 1]


def test_nested_studies_go_on_as_if_nothing_had_happened(tmp_path):
    asked_for = [spec.hash for spec in drive(nested_plan(tmp_path)).specs]
    for lost in ("trial-00003.json", "trial-00005.json"):
        [path] = (tmp_path / "r").rglob(lost)
        path.unlink()
    again = [spec.hash for spec in drive(nested_plan(tmp_path)).specs]
    assert again == [asked_for[3], asked_for[5]]


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


def test_each_record_says_how_many_trials_ran_at_the_same_time(tmp_path):
    planned = demo_plan(tmp_path / "r")
    drive(planned, Pretend(specs=[], workers=3))
    assert {record.provenance.workers for record in RecordStore(planned.results)} == {3}


def test_the_nth_final_of_every_cell_has_the_same_seed_so_that_they_can_be_paired(tmp_path):
    engine = drive(demo_plan(tmp_path / "r", methods=["prompt_tuning", "lora"], study={"trials": 1}))
    seeds = {
        method: [s.seed for s in engine.specs if s.kind == "final" and s.cell.method.name == method]
        for method in ("prompt_tuning", "lora")
    }
    assert seeds["prompt_tuning"] == seeds["lora"]
    assert len(set(seeds["lora"])) == 2


def test_workers_are_spread_over_cells_first(tmp_path):
    planned = demo_plan(tmp_path / "r", methods=["prompt_tuning", "lora"])
    engine = drive(planned, Pretend(workers=2, specs=[]))
    assert {spec.cell.method.name for spec in engine.specs[:2]} == {"prompt_tuning", "lora"}


def test_a_method_that_no_seed_changes_has_one_final(tmp_path):
    engine = drive(demo_plan(tmp_path / "r", methods=["hard_prompt"], finals={"seeds": 5}))
    assert [spec.kind for spec in engine.specs] == ["final"], "nothing to search: no trial"


@pytest.mark.parametrize("repeats", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 3, 6, 7])
def test_after_an_interruption_the_same_runs_follow_and_none_runs_twice(tmp_path, done, repeats):
    whole = asked(drive(demo_plan(tmp_path / "whole", study={"repeats": repeats})))

    planned = demo_plan(tmp_path / "r", study={"repeats": repeats})
    first = Pretend(stop_after=done, specs=[])
    with pytest.raises(KeyboardInterrupt):
        drive(planned, first)
    second = drive(planned)

    assert asked(first) + asked(second) == whole
    assert asked(drive(planned)) == [], "a third start finds nothing to do"


def test_more_trials_go_on_and_finals_are_repeated_only_if_the_best_changes(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"trials": 2})
    best = max(ended(spec).objective for spec in drive(planned).specs)

    more = drive(demo_plan(tmp_path / "r", study={"trials": 12}))
    trials = [spec for spec in more.specs if spec.kind == "trial"]
    finals = [spec for spec in more.specs if spec.kind == "final"]

    assert [spec.number for spec in trials] == list(range(2, 12))
    better = max(ended(spec).objective for spec in trials) > best
    assert len(finals) == (2 if better else 0)
    assert better, "else this test shows nothing; choose another seed"


def test_finals_of_a_former_best_stay_on_disk_and_do_not_count(tmp_path):
    drive(demo_plan(tmp_path / "r", study={"trials": 2}))
    planned = demo_plan(tmp_path / "r", study={"trials": 12})
    drive(planned)

    with Driver(planned.manifest, planned.cells, planned.results, Pretend(specs=[]), Watcher()) as driver:
        counted = Counter(record.spec.kind for record in driver.records)
    assert counted == {"trial": 12, "final": 2}
    assert stored(planned)["final", "ok"] == 4


def test_a_change_of_the_training_runs_that_cell_again_and_keeps_the_old_records(tmp_path):
    methods = ["prompt_tuning", {"lora": {}}]
    drive(demo_plan(tmp_path / "r", methods=methods))
    methods = ["prompt_tuning", {"lora": {"training": {"weight_decay": 0.1}}}]
    planned = demo_plan(tmp_path / "r", methods=methods)
    engine = drive(planned)

    assert {spec.cell.method.name for spec in engine.specs} == {"lora"}
    assert stored(planned) == {("trial", "ok"): 18, ("final", "ok"): 6}
    assert len(Manifest.read(planned.results).cells) == 2


def test_a_change_of_budgets_and_labels_of_workers_runs_nothing_again(tmp_path):
    drive(demo_plan(tmp_path / "r"))
    assert not drive(demo_plan(tmp_path / "r", runtime={"retries": 3, "trial_timeout": 99}, workers=2)).specs


def test_a_run_whose_worker_died_is_tried_again_and_then_given_up(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"trials": 2}, runtime={"retries": 2})
    heard = Heard()
    engine = Pretend(
        play=lambda spec: ended(spec, status="killed", reason="gone") if spec.number == 1 else ended(spec), specs=[]
    )
    drive(planned, engine, heard)

    attempts = Counter((spec.kind, spec.number) for spec in engine.specs)
    assert attempts == {("trial", 0): 1, ("trial", 1): 3, ("final", 0): 1, ("final", 1): 3}
    assert stored(planned) == {("trial", "ok"): 1, ("trial", "killed"): 1, ("final", "ok"): 1, ("final", "killed"): 1}
    assert heard.log.count(("retried", "killed")) == 4
    assert heard.log.count(("finished", "killed")) == 2


@pytest.mark.parametrize("status", ["error", "oom", "diverged", "infeasible", "timeout"])
def test_a_failure_of_the_method_is_never_tried_again(tmp_path, status):
    planned = demo_plan(tmp_path / "r", study={"trials": 3})
    engine = drive(planned, Pretend(play=lambda spec: ended(spec, status=status), specs=[]))
    assert [(spec.kind, spec.number) for spec in engine.specs] == [("trial", 0), ("trial", 1), ("trial", 2)]
    assert stored(planned) == {("trial", status): 3}


def test_a_watcher_hears_the_beginning_every_end_and_the_end(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"trials": 1})
    heard = Heard()
    with pytest.raises(KeyboardInterrupt):
        drive(planned, Pretend(stop_after=1, specs=[]), heard)
    assert heard.log == [("begin", 0), ("finished", "ok"), ("end", None)]
    heard = Heard()
    drive(planned, watcher=heard)
    assert heard.log == [("begin", 1), ("finished", "ok"), ("finished", "ok"), ("end", None)]


def test_a_corrupt_record_is_set_aside_and_its_trial_runs_again(tmp_path):
    planned = demo_plan(tmp_path / "r")
    drive(planned)
    path = next(planned.results.rglob("trial-00002.json"))
    path.write_text(path.read_text()[:100])

    engine = drive(planned)

    assert [(spec.kind, spec.number) for spec in engine.specs] == [("trial", 2)]
    assert path.with_suffix(".corrupt").exists()
    assert path.exists()


def test_a_disk_that_is_full_is_said_in_one_line(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    planned = demo_plan(tmp_path / "r")
    engine = Pretend(
        play=lambda spec: (monkeypatch.setattr("bench.runs.store.write_atomic", full), ended(spec))[1], specs=[]
    )
    with pytest.raises(Exception, match=r"trial-00000\.json: the record cannot be written: No space left on device"):
        drive(planned, engine)


def refuse(spec):
    raise BadInput("runtime.device: no cuda device on this machine; there is: cpu")


def test_a_run_that_is_refused_leaves_the_folder_as_it_was(tmp_path):
    drive(demo_plan(tmp_path / "r"))
    manifest = tmp_path / "r" / "experiment.json"
    before = manifest.read_bytes()
    changed = demo_plan(tmp_path / "r", runtime={"device": "cuda"})
    with pytest.raises(BadInput, match="no cuda device"):
        drive(changed, Pretend(specs=[], play=refuse))
    assert manifest.read_bytes() == before
    drive(changed)
    assert Manifest.read(tmp_path / "r") == changed.manifest != demo_plan(tmp_path / "r").manifest


def test_a_change_with_which_nothing_is_left_to_run_is_written_down(tmp_path):
    drive(demo_plan(tmp_path / "r"))
    fewer = demo_plan(tmp_path / "r", finals={"seeds": 1})
    assert not drive(fewer).specs
    assert Manifest.read(tmp_path / "r") == fewer.manifest


def test_a_folder_of_another_experiment_is_refused_and_left_alone(tmp_path):
    drive(demo_plan(tmp_path / "r"))
    before = (tmp_path / "r" / "experiment.json").read_bytes()
    with pytest.raises(BadInput, match="holds the results of experiment 'demo', not of 'other'"):
        drive(demo_plan(tmp_path / "r", name="other"))
    assert (tmp_path / "r" / "experiment.json").read_bytes() == before


def test_what_a_run_leaves_is_taken_up_without_its_manifest_too(tmp_path):
    """A damaged manifest is to be removed, as its message says, whatever else had to be set aside."""
    planned = demo_plan(tmp_path / "r")
    drive(planned)
    (planned.results / "study.db").write_text("junk")
    drive(planned)
    (planned.results / "experiment.json").unlink()
    assert drive(planned).specs == []


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(BadInput, match="is not empty and no results folder"):
        drive(demo_plan(tmp_path))
    assert not (tmp_path / "experiment.json").exists()


def test_a_manifest_that_is_damaged_can_be_removed_and_is_written_anew(tmp_path):
    planned = demo_plan(tmp_path / "r")
    drive(planned)
    path = planned.results / "experiment.json"
    path.write_text("{")
    with pytest.raises(BadInput, match=r"experiment\.json: is damaged; remove it"):
        drive(planned)
    path.unlink()
    assert not drive(planned).specs
    assert Manifest.read(planned.results) == planned.manifest


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        drive(demo_plan(tmp_path / "file" / "r"))
    with pytest.raises(BadInput, match="cannot be written"):
        drive(demo_plan(tmp_path / "file"))


def test_a_results_folder_says_nothing_about_the_machine_but_in_its_records(tmp_path):
    planned = demo_plan(tmp_path / "r")
    drive(planned)
    written = {path.name for path in planned.results.iterdir()}
    assert written <= {"experiment.json", "records", "study.db", ".driver.lock", ".locks"}
    assert [path.read_bytes() for path in (planned.results / ".locks").iterdir()] == [b""]
    assert str(tmp_path) not in (planned.results / "experiment.json").read_text()


def test_the_manifest_keeps_the_command_with_a_path_that_means_something_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "suite").mkdir()
    file = tmp_path / "suite" / "demo.yaml"
    file.write_text(json.dumps(EXPERIMENT))  # JSON is YAML
    monkeypatch.chdir(tmp_path)
    for given, kept in (("suite/demo.yaml", "suite/demo.yaml"), (file, "suite/demo.yaml")):
        manifest = plan(given, changes=["study.trials=3", "description=two words"]).manifest
        assert manifest.command == f"bench run {kept} --set study.trials=3 --set 'description=two words'"
    monkeypatch.chdir(tmp_path / "suite")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert plan(file).manifest.command == "bench run demo.yaml"
    assert plan(EXPERIMENT).manifest.command is None
