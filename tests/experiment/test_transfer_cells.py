"""What an experiment file says of transfer: which targets, what runs again for them, and what cannot be meant."""

from __future__ import annotations

import pytest
from demo import Pretend, demo_plan, drive, ended

from bench.core.errors import BadInput
from bench.experiment.preparing import downloads
from bench.reporting.folders import collect
from bench.runs.record import TransferTest
from bench.runs.store import RecordStore

PLAIN = ["rotten_tomatoes", "imdb"]
SHIFT = [{"rotten_tomatoes": {"transfer": ["imdb", {"sms_spam": {"test_size": 50}}]}}, {"imdb": {"test_size": 300}}]


def test_a_label_of_the_experiment_brings_its_options_and_any_other_data_set_its_own():
    first, second = demo_plan(datasets=SHIFT).cells
    imdb, spam = first.transfer
    assert (imdb.dataset.label, imdb.dataset.options["test_size"]) == ("imdb", 300)
    assert imdb.dataset.options == second.dataset.options
    assert imdb.data_pin == second.data_pin
    assert (spam.dataset.name, spam.dataset.options["test_size"], spam.objective) == ("sms_spam", 50, "f1_macro")
    assert second.transfer == ()


def test_what_is_transferred_to_is_fetched_before_anything_runs():
    needed = {user for user, _ in downloads(demo_plan(datasets=[{"trec6": {"transfer": ["imdb"]}}]).cells)}
    assert {"trec6", "imdb"} <= needed


def test_transfer_added_later_runs_the_finals_again_and_no_trial(tmp_path):
    drive(demo_plan(tmp_path / "r", datasets=PLAIN))
    engine = drive(demo_plan(tmp_path / "r", datasets=[{"rotten_tomatoes": {"transfer": ["imdb"]}}, "imdb"]))
    assert [(spec.kind, spec.number, spec.cell.dataset.label) for spec in engine.specs] == [
        ("final", 0, "rotten_tomatoes"),
        ("final", 1, "rotten_tomatoes"),
    ]
    assert not drive(demo_plan(tmp_path / "r", datasets=PLAIN)).specs, "the earlier finals are still there"


def test_a_final_that_was_run_again_for_it_is_no_further_seed_and_the_one_that_ended_well_counts(tmp_path):
    drive(demo_plan(tmp_path / "r", datasets=PLAIN, study={"trials": 1}))

    def play(spec):
        done = {"imdb": TransferTest(items=1)}
        return ended(spec, transfer=done, started_at="2026-02-01") if spec.number else ended(spec, status="error")

    shift = [{"rotten_tomatoes": {"transfer": ["imdb"]}}, "imdb"]
    planned = demo_plan(tmp_path / "r", datasets=shift, study={"trials": 1})
    drive(planned, Pretend(specs=[], play=play))
    assert sum(record.spec.kind == "final" for record in RecordStore(planned.results)) == 6
    cell = next(one for one in collect(planned.results).cells if one.dataset == "rotten_tomatoes")
    assert [run.status for run in cell.finals] == ["ok", "ok"]
    assert [list(run.transfer) for run in cell.finals] == [[], ["imdb"]]
    assert cell.superseded == 2


@pytest.mark.parametrize(
    ("datasets", "said"),
    [
        ([{"imdb": {"transfer": ["imbd"]}}], r"datasets\[0\].imdb.transfer\[0\].*did you mean 'imdb'"),
        ([{"imdb": {"transfer": ["imdb"]}}], r"transfer\[0\]: 'imdb' is the data set itself"),
        ([{"imdb": {"transfer": ["trec6", "trec6"]}}], r"datasets\[0\].transfer: the label 'trec6' is used twice"),
        ([{"imdb": {"transfer": [{"trec6": {"test_size": 9}}]}}, "trec6"], "name that one without options"),
        ([{"imdb": {"transfer": [{"trec6": {"test_siz": 9}}]}}], "did you mean 'test_size'"),
        ([{"imdb": {"transfer": "trec6"}}], r"datasets\[0\].transfer: .*valid list"),
    ],
)
def test_a_target_that_cannot_be_meant_is_one_clear_line(datasets, said):
    with pytest.raises(BadInput, match=said) as caught:
        demo_plan(datasets=datasets)
    assert "\n" not in str(caught.value)
