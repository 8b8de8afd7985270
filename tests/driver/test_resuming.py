"""What a later run repeats, what it leaves alone, and where a cell ends before its trials do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import demo
import pytest
from demo import Pretend, Warned, demo_plan, ended
from plugin import write_table, write_tiny_model

from bench.api import Selection, plan
from bench.core.errors import BadInput
from bench.driver.driver import Driver
from bench.driver.watcher import Watcher
from bench.runs.record import TrainStep
from bench.runs.store import RecordStore
from bench.search.study import Search


def drive(planned, play=ended, **more):
    engine = demo.drive(planned, Pretend(play=play, specs=[]), **more)
    return [(spec.kind, spec.number) for spec in engine.specs]


def failing(**statuses):
    """Let trials of these numbers end so: ``t1="killed"``."""
    return lambda spec: ended(
        spec, status=statuses.get(f"t{spec.number}", "ok") if spec.kind == "trial" else "ok", reason="so"
    )


def test_the_record_is_on_disk_before_the_study_hears_of_it(tmp_path, monkeypatch):
    planned = demo_plan(tmp_path / "r")
    tell, store, there = Search.tell, RecordStore(planned.results), []

    def watched(self, record):
        there.append(store.path(record.spec).exists())
        tell(self, record)

    monkeypatch.setattr(Search, "tell", watched)
    drive(planned)
    assert there == [True] * 6


def test_a_trial_that_lost_its_worker_is_repeated_by_the_next_run_with_its_own_point(tmp_path):
    planned = demo_plan(tmp_path / "r", runtime={"retries": 0})
    drive(planned, failing(t2="killed", t4="error"))
    before = {r.spec.number: r.spec.params for r in RecordStore(planned.results) if r.spec.kind == "trial"}
    again = drive(planned)
    assert again[0] == ("trial", 2)
    assert all(kind == "final" for kind, _ in again[1:]), "a method that failed is not repeated"
    after = {r.spec.number: r for r in RecordStore(planned.results) if r.spec.kind == "trial"}
    assert {number: record.spec.params for number, record in after.items()} == before
    assert Counter(record.status for record in after.values()) == {"ok": 5, "error": 1}


@pytest.mark.parametrize(("limit", "repeated"), [(5.0, []), (1.0, []), (9.0, [("trial", 1)]), (None, [("trial", 1)])])
def test_a_trial_that_took_too_long_is_repeated_once_it_is_given_more_time(tmp_path, limit, repeated):
    drive(demo_plan(tmp_path / "r", runtime={"trial_timeout": 5.0}), failing(t1="timeout"))
    again = drive(demo_plan(tmp_path / "r", runtime={"trial_timeout": limit}))
    assert [run for run in again if run[0] == "trial"] == repeated


def test_retry_failed_repeats_whatever_did_not_end_well_and_nothing_else(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"max_failures": None})
    drive(planned, failing(t0="error", t1="oom", t2="diverged", t3="infeasible", t4="pruned"))
    assert drive(planned) == []
    again = drive(planned, retry_failed=True)
    assert sorted(run for run in again if run[0] == "trial") == [("trial", n) for n in range(4)]


def test_a_cell_whose_trials_fail_one_after_the_other_is_given_up_and_says_so(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"trials": 50, "max_failures": 3})
    warned = Warned()
    runs = drive(planned, failing(t0="error", t1="oom", t2="error", t3="timeout"), watcher=warned)
    assert runs == [("trial", n) for n in range(4)]
    assert "4 of 50 trials have run, no more: 3 trials failed (study.max_failures)" in warned.said[0]
    assert drive(planned) == []


@pytest.mark.parametrize(
    ("budget", "trials", "said"),
    [
        ({"seconds": 2.5}, 3, "its 2.5 s are used up (study.budget.seconds)"),
        ({"tokens": 100}, 2, "its 100 training tokens are used up (study.budget.tokens)"),
        ({"seconds": 99, "tokens": 1}, 1, "its 1 training tokens are used up"),
    ],
)
def test_a_budget_of_seconds_or_tokens_ends_a_study_and_its_finals_follow(tmp_path, budget, trials, said):
    step = TrainStep(step=1, loss=1.0, learning_rate=0.1, grad_norm=1.0, tokens=60)
    planned = demo_plan(tmp_path / "r", study={"trials": 50, "budget": budget})
    warned = Warned()
    runs = drive(planned, lambda spec: ended(spec, train_curve=[step]), watcher=warned)
    assert Counter(kind for kind, _ in runs) == {"trial": trials, "final": 2}
    assert said in warned.said[0]
    assert drive(planned) == [], "what earlier runs have spent counts"
    more = demo_plan(tmp_path / "r", study={"trials": 50, "budget": {"seconds": 10.5}})
    assert Counter(kind for kind, _ in drive(more))["trial"] == 11 - trials, "a larger budget goes on"


def local(tmp_path: Path, **changes):
    return demo_plan(
        tmp_path / "r",
        models=[{"local": {"path": str(tmp_path / "model"), "label": "mine"}}],
        datasets=[{"local": {"path": str(tmp_path / "toy.csv")}}],
        **changes,
    )


def test_other_content_of_a_file_of_the_same_name_is_another_cell(tmp_path):
    write_table(tmp_path / "toy.csv")
    write_tiny_model(tmp_path / "model")
    (first,) = local(tmp_path).cells
    assert local(tmp_path).cells == [first]

    write_table(tmp_path / "toy.csv", rows=62)
    (second,) = local(tmp_path).cells
    assert (second.data_pin != first.data_pin, second.model_pin) == (True, first.model_pin)

    weights = tmp_path / "model" / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    (third,) = local(tmp_path).cells
    assert (third.data_pin, third.model_pin != second.model_pin) == (second.data_pin, True)
    assert len({first.path, second.path, third.path}) == 3

    (tmp_path / "toy.csv").unlink()
    (tmp_path / "model" / "model.safetensors").unlink()
    assert local(tmp_path).cells, "what is missing is said when it is needed, not when a plan is made"


def test_an_override_leaves_cells_out(tmp_path):
    planned = plan(
        {
            "name": "demo",
            "models": ["glasslm-0.9m", "smollm2-135m"],
            "datasets": ["trec6"],
            "methods": ["lora", "prompt_tuning"],
            "overrides": [{"models": ["smollm2-135m"], "methods": ["lora"], "skip": True}],
        }
    )
    assert ["/".join(cell.labels) for cell in planned.cells] == [
        "glasslm-0.9m/trec6/lora",
        "glasslm-0.9m/trec6/prompt_tuning",
        "smollm2-135m/trec6/prompt_tuning",
    ]


def two_methods(tmp_path):
    return demo_plan(tmp_path / "r", methods=["lora", "prompt_tuning"], study={"trials": 1}, finals={"seeds": 1})


@pytest.mark.parametrize(
    ("selection", "methods"),
    [
        (Selection(only=("lora",)), {"lora"}),
        (Selection(only=("glasslm*",)), {"lora", "prompt_tuning"}),
        (Selection(skip=("glasslm-0.9m/*/lora",)), {"prompt_tuning"}),
        (Selection(only=("trec6",), skip=("prompt*",)), {"lora"}),
    ],
)
def test_a_part_of_the_cells_runs_and_the_rest_stays_part_of_the_experiment(tmp_path, selection, methods):
    planned = two_methods(tmp_path)
    drive(planned.select(selection))
    assert {record.spec.cell.method.name for record in RecordStore(planned.results)} == methods
    assert len(planned.manifest.cells) == 2
    drive(planned)
    assert len(list(RecordStore(planned.results))) == 4


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(only=("lroa",)), "--only lroa: fits no cell; did you mean 'lora'?"),
        (Selection(skip=("nobody",)), "--skip nobody: fits no cell"),
        (Selection(skip=("*",)), "--only and --skip leave no cell"),
    ],
)
def test_a_selection_that_fits_nothing_is_said_so(tmp_path, selection, said):
    with pytest.raises(BadInput) as error:
        two_methods(tmp_path).select(selection)
    assert said in str(error.value)


def test_no_trials_at_all_runs_the_defaults_on_every_seed(tmp_path):
    planned = demo_plan(tmp_path / "r", study={"trials": 0})
    assert drive(planned) == [("final", 0), ("final", 1)]
    assert all(record.spec.params == {} for record in RecordStore(planned.results))


def test_a_cell_that_was_refused_elsewhere_runs_where_it_may(tmp_path):
    planned = demo_plan(tmp_path)
    (cell,) = planned.cells
    with Driver(planned.manifest, planned.cells, planned.results, Pretend(specs=[]), Watcher()) as driver:
        refused = driver.run({cell.path: "predicted to need 9 GiB"})
    assert [(record.status, record.reason) for record in refused] == [("infeasible", "predicted to need 9 GiB")]
    assert len(drive(planned)) == 8, "all trials, the refused one too, and the finals"
