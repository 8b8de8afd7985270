"""Which runs of a cell count, and what they come to."""

from __future__ import annotations

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from report_records import (
    MIB,
    answered,
    cell,
    majority,
    report_text_of,
    run,
    study,
    summarise,
    write_results,
)
from sklearn.metrics import f1_score, matthews_corrcoef

from bench.core.entries import Entry
from bench.experiment.settings import Finals
from bench.reporting.folders import collect
from bench.reporting.frame import plain_rows
from bench.reporting.grouping import group_cells
from bench.runs.record import STATUSES, Evaluated, Parameters, PhaseMemory, Provenance

MACRO = {"f1_macro": {"average": "macro"}}


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
    first, second = group_cells(records)[0].group.tested
    assert (first.method, second.method) == ("lora", "prompt_tuning")
    assert summary["standing"].isna().all(), "of one seed and without predictions nobody is called best"


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
    rows = plain_rows(summarise([*on_cpu, *on_cuda]))
    assert [row["train_cuda_allocated_peak_bytes"] for row in rows] == [7, None]
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


def best_methods(records):
    return {row["method"] for row in plain_rows(summarise(records)) if row["standing"] == "best"}


def test_methods_within_chance_share_the_honour_and_baselines_without_a_model_have_none():
    records = [
        *study(cell(method="a"), [0.80, 0.81, 0.82], items=100),
        *study(cell(method="b"), [0.79, 0.80, 0.83], items=100),
        *study(cell(method="c"), [0.40, 0.41, 0.42], items=100),
        *study(cell(None, method="tfidf", stochastic=False), [0.8], items=100),
    ]
    assert best_methods(records) == {"a", "b"}
    rows = {row["method"]: row for row in plain_rows(summarise(records))}
    assert [rows[name]["rank"] for name in ("a", "b", "c", "tfidf")] == [1, 1, 4, None]
    assert (rows["c"]["standing"], rows["c"]["gap_to_best"], rows["b"]["gap_to_best"]) == ("second", "beyond", "within")


def test_a_method_that_nothing_can_be_said_about_is_not_second():
    known = [record for name in "ab" for record in study(cell(method=name), [0.80, 0.81, 0.82], items=100)]
    rows = plain_rows(summarise([*known, *study(cell(method="c"), [0.2, 0.3], items=100)]))
    assert [row["standing"] for row in rows] == ["best", "best", None]


def test_nobody_is_best_that_is_not_beyond_the_majority_class():
    records = [
        *study(cell(method="a"), [0.52, 0.53, 0.51], items=100),
        *study(cell(method="b"), [0.1, 0.1, 0.1], items=100),
    ]
    assert best_methods(records) == {"a"}
    assert best_methods([*records, *majority()]) == set()
    assert best_methods([*records, *majority(dataset="other")]) == {"a"}, "another data set says nothing of this one"


def test_one_item_in_a_hundred_is_not_beyond_chance_though_all_seeds_score_the_same():
    records = [
        *study(cell(method="a"), [0.21] * 3, items=100),
        *study(cell(method="b"), [0.20] * 3, items=100),
    ]
    rows = {row["method"]: row for row in plain_rows(summarise(records))}
    assert rows["b"]["gap_to_best"] == "within"
    assert best_methods(records) == {"a", "b"}
    assert rows["a"]["resolution"] > 0.01


def test_nobody_is_best_while_the_mean_of_one_that_nothing_can_be_said_about_is_higher():
    known = [*study(cell(method="a"), [0.8] * 3, items=100), *study(cell(method="b"), [0.3] * 3, items=100)]
    assert best_methods([*known, *study(cell(method="c"), [0.2] * 2, items=100)]) == {"a"}
    assert best_methods([*known, *study(cell(method="c"), [0.9] * 2, items=100)]) == set()
    assert best_methods([*study(cell(method="a"), [0.9] * 3), *study(cell(method="b"), [0.1] * 3)]) == set()


def test_an_interval_is_within_the_range_of_the_metric_and_seeds_agree_as_often_as_they_answer_alike():
    row = only_row(study(cell(), [0.99, 1.0, 1.0], items=100))
    assert 0.9 < row["test_low"] < 0.9967 < row["test_high"] <= 1
    assert row["agreement"] == pytest.approx((0.99 + 0.99 + 1.0) / 3)
    row = only_row(study(cell(), [0.99, 1.0, 1.0]))
    assert (row["test_low"], row["agreement"]) == (None, None), "without predictions nothing is known of them"


@pytest.mark.parametrize(("metric", "score"), [("f1_macro", f1_score), ("mcc", matthews_corrcoef)])
def test_the_mean_of_the_items_is_the_metric(metric, score):
    of = cell(objective=metric)
    finals = [
        run(of, n, "final", float(score(one.references, one.predictions, **MACRO.get(metric, {}))), predictions=one)
        for n, one in enumerate(answered(70 + n, 100, n) for n in range(3))
    ]
    (found,) = group_cells([run(of), *finals])
    assert found.answers.mean == pytest.approx(found.mean)
    assert found.bounds == {"f1_macro": (0, 1), "mcc": (-1, 1)}[metric]
    assert found.interval.low < found.mean < found.interval.high <= 1


def test_a_cell_whose_runs_differ_in_commit_or_data_says_so():
    def made_with(number, commit, data):
        return run(cell(), number, provenance=Provenance(git_commit=commit, data_revision=data))

    assert only_row([made_with(0, "a", "d"), made_with(1, None, "d")])["differs"] is None
    assert only_row([made_with(0, "a", "d"), made_with(1, "b", "e")])["differs"] == "git commit, data revision"


def test_finals_on_splits_of_their_own_have_a_spread_though_no_seed_changes_the_method():
    drawn = cell(method="hard_prompt", stochastic=False, finals=Finals(splits="redraw"))
    fixed = cell(method="hard_prompt", stochastic=False)
    (of_drawn,), (of_fixed,) = (group_cells(study(one, [0.4, 0.5, 0.6])) for one in (drawn, fixed))
    assert of_drawn.stochastic and not of_fixed.stochastic


@pytest.mark.parametrize(
    ("folds", "step", "correlation"),
    [(None, 10, (30 + 20 + 30) / 3 / 40), (None, 1000, 0.0), (4, 1000, 1 / 4)],
    ids=["draws that share items", "draws that share none", "folds"],
)
def test_draws_are_corrected_by_the_test_items_that_they_share_and_folds_by_their_number(folds, step, correlation):
    dataset = Entry(name="trec6", label="trec6", options={"folds": folds} if folds else {})
    of = cell(finals=Finals(splits="redraw")).model_copy(update={"dataset": dataset})
    finals = []
    for number in range(3):
        ids = [f"{number * step + item}" for item in range(40)]
        predictions = answered(20, 40).model_copy(update={"ids": ids})
        finals.append(run(of, number, "final", 0.5, predictions=predictions))
    (found,) = group_cells([run(of), *finals])
    assert found.answers.correlation == pytest.approx(correlation)


def test_a_baseline_that_the_main_metric_does_not_score_has_its_seeds():
    written = Evaluated(step=0, metrics={"f1_squad": 0.3})
    of = cell(None, method="first_sentence", objective="nll")
    [row] = plain_rows(summarise([run(of, 0, "final", None, test=written)]))
    assert (row["test_mean"], row["test_seeds"], row["test.f1_squad"]) == (None, 1, 0.3)


def test_a_method_whose_finals_diverged_is_not_best_for_those_that_did_not(tmp_path):
    unstable, stable = cell(method="unstable"), cell(method="stable")
    good = study(unstable, [0.93, 0.94, 0.935], items=1000)
    failed = [run(unstable, number, "final", status="diverged", reason="loss is nan") for number in (3, 4)]
    records = [*good, *failed, *study(stable, [0.80, 0.81, 0.79, 0.80, 0.80], items=1000)]
    assert best_methods(records) == set(), "nor is the other, for nobody knows whether it is better"
    rows = {row["method"]: row for row in plain_rows(summarise(records))}
    assert (rows["unstable"]["test_seeds"], rows["unstable"]["runs_diverged"], rows["unstable"]["rank"]) == (3, 2, None)
    report = report_text_of(collect(write_results(tmp_path / "r", records)))
    assert "2 of 5 finals failed. Its mean is of the others, so nothing is said" in report
    assert "cannot be said: finals failed" in report


def test_the_gap_that_is_written_is_that_of_the_interval_beside_it(tmp_path):
    """A cell that lacks the two easy draws is held against the other on the three that both have."""
    ours, theirs = cell(method="ours"), cell(method="theirs")

    def final(of, number, right):
        kept = answered(right, 100)
        return run(
            of,
            number,
            "final",
            right / 100,
            predictions=kept.model_copy(update={"ids": [f"{number}-{name}" for name in kept.ids]}),
        )

    records = [run(ours), run(theirs), *(final(ours, n, right) for n, right in enumerate((66, 66, 67)))]
    records += [final(theirs, n, right) for n, right in enumerate((60, 61, 60, 90, 91))]
    report = report_text_of(collect(write_results(tmp_path / "r", records)))
    assert "The gap of 0.060 on the draws of the splits that both have" in report, "not the -0.06 of the means"
