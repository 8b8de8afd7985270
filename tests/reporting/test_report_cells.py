"""Which runs of a cell count, and what they come to."""

from __future__ import annotations

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from report_records import MIB, cell, run, study

from bench.reporting.frame import plain_rows
from bench.reporting.table import CUDA_COLUMNS, best_rows, summarise
from bench.runs.record import STATUSES, Parameters, PhaseMemory, Provenance


def only_row(records):
    (row,) = plain_rows(summarise(records))
    return row


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 1000).map(lambda hits: hits / 1000), min_size=2, max_size=6, unique=True))
def test_mean_and_sd_over_seeds_are_those_of_scipy(scores):
    row = only_row(study(cell(), scores))
    assert row["test_mean"] == pytest.approx(scipy.stats.tmean(scores))
    assert row["test_sd"] == pytest.approx(scipy.stats.tstd(scores))
    assert row["test_seeds"] == len(scores)


def test_one_seed_has_a_mean_and_no_sd():
    row = only_row(study(cell(), [0.7]))
    assert (row["test_mean"], row["test_sd"], row["test_seeds"]) == (0.7, None, 1)


def test_only_finals_of_the_best_trials_configuration_count():
    lora = cell()
    old, new = {"learning_rate": 0.1}, {"learning_rate": 0.2}
    records = [
        run(lora, 0, score=0.6, params=old),
        run(lora, 0, "final", 0.1, params=old),
        run(lora, 1, score=0.8, params=new),
        run(lora, 0, "final", 0.9, params=new),
    ]
    row = only_row(records)
    assert row["test_mean"] == 0.9
    assert row["best_params"] == '{"learning_rate":0.2}'
    assert row["superseded_finals"] == 1


def test_the_earliest_of_equal_trials_is_the_best():
    lora = cell()
    records = [run(lora, number, score=0.8, params={"rank": number}) for number in (2, 1, 3)]
    assert only_row(records)["best_params"] == '{"rank":1}'


def test_where_lower_is_better_the_lowest_trial_is_the_best_and_the_lowest_score_wins():
    low, high = (
        cell(method=name, objective="perplexity_like", greater_is_better=False) for name in ("lora", "prompt_tuning")
    )
    records = [run(low, 0, score=9.0), run(low, 1, score=3.0, params={"rank": 4})]
    records += [run(low, 0, "final", 3.5, params={"rank": 4}), *study(high, [7.0])]
    summary = summarise(records)
    assert plain_rows(summary)[0]["validation_best"] == 3.0
    assert best_rows(summary) == {0}


def test_a_trial_that_failed_or_was_pruned_is_never_the_best():
    lora = cell()
    row = only_row([run(lora, 0, score=0.5), run(lora, 1, score=0.9, status="pruned"), run(lora, 2, status="oom")])
    assert row["validation_best"] == 0.5


def test_a_cell_without_a_good_run_has_its_row_and_its_size():
    records = [run(cell(method="full"), status="oom", reason="out of memory"), *study(cell(), [0.7], base=5)]
    row = next(row for row in plain_rows(summarise(records)) if row["method"] == "full")
    assert row["test_mean"] is None and row["test_seeds"] == 0 and row["runs_oom"] == 1
    assert row["base_parameters"] == 5, "known from the other cell of the same model"


def test_every_status_is_counted():
    records = [run(cell(), number, status=status) for number, status in enumerate(STATUSES)]
    row = only_row([*records, run(cell(), 9, status="killed")])
    assert {status: row[f"runs_{status}"] for status in STATUSES} == {**dict.fromkeys(STATUSES, 1), "killed": 2}


def test_memory_is_the_peak_and_time_the_mean_of_the_finals_that_count():
    lora = cell()
    finals = [
        run(
            lora,
            n,
            "final",
            memory={
                "train": PhaseMemory(live_tensor_peak_bytes=live * MIB, resident_peak_bytes=100),
                "test": PhaseMemory(live_tensor_peak_bytes=99 * MIB, resident_peak_bytes=200 + n),
            },
            seconds={"train": seconds},
        )
        for n, live, seconds in ((0, 10, 4.0), (1, 30, 8.0))
    ]
    row = only_row([run(lora, seconds={"train": 1000.0}), *finals])
    assert row["train_peak_live_tensors_bytes"] == 30 * MIB
    assert row["peak_resident_set_bytes"] == 201
    assert row["train_seconds"] == 6.0


def test_what_was_not_measured_is_missing():
    row = only_row([run(cell(), memory={}, seconds={}, parameters=Parameters(total=10, trainable=5))])
    for name in ("train_peak_live_tensors_bytes", "peak_resident_set_bytes", "train_seconds", "adapter_bytes"):
        assert row[name] is None, name


def test_columns_of_cuda_are_there_only_where_there_is_cuda():
    on_cpu = study(cell(), [0.5])
    on_cuda = study(
        cell(method="full"),
        [0.5],
        memory={"train": PhaseMemory(cuda_allocated_peak_bytes=7, cuda_reserved_peak_bytes=9)},
    )
    assert not set(CUDA_COLUMNS) & set(summarise(on_cpu).columns)
    rows = plain_rows(summarise([*on_cpu, *on_cuda]))
    assert [row[CUDA_COLUMNS[0]] for row in rows] == [7, None]
    assert not any("cuda" in name or "gpu" in name for name in summarise(on_cpu).columns)


def test_rows_are_ordered_by_data_set_then_size_then_method():
    records = [
        run(cell("big", "b", "lora"), base=900),
        run(cell("small", "b", "lora"), base=100),
        run(cell("small", "b", "full"), base=100),
        run(cell(None, "b", "majority")),
        run(cell("big", "a", "lora"), base=900),
    ]
    summary = summarise(records)
    assert list(zip(summary["dataset"], summary["model"], summary["method"], strict=True)) == [
        ("a", "big", "lora"),
        ("b", "none", "majority"),
        ("b", "small", "full"),
        ("b", "small", "lora"),
        ("b", "big", "lora"),
    ]


def test_equal_best_scores_share_the_honour_and_baselines_without_a_model_have_none():
    records = [*study(cell(method="a"), [0.5]), *study(cell(method="b"), [0.5]), *study(cell(method="c"), [0.4])]
    records += study(cell(None, method="majority"), [0.9])
    summary = summarise(records)
    assert {plain_rows(summary)[position]["method"] for position in best_rows(summary)} == {"a", "b"}


def test_a_cell_whose_runs_differ_in_commit_or_data_says_so():
    def made_with(number, commit, data):
        return run(cell(), number, provenance=Provenance(git_commit=commit, data_revision=data))

    assert only_row([made_with(0, "a", "d"), made_with(1, None, "d")])["differs"] is None
    assert only_row([made_with(0, "a", "d"), made_with(1, "b", "e")])["differs"] == "git commit, data revision"
