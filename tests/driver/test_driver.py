"""The driver: what runs, in which order, what is kept, and who may use a results folder."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from demo import EXPERIMENT, Pretend, asked, demo_plan, drive, ended, nested_plan

from bench.api import plan
from bench.core.errors import BadInput
from bench.driver.driver import Driver
from bench.driver.watcher import Watcher
from bench.runs.manifest import Manifest
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
