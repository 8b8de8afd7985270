"""A cross-validated cell says so: its spread is over folds."""

from __future__ import annotations

import json
from statistics import stdev

import pytest
from report_records import cell, report_text_of, run, study, summarise, write_results

from bench.core.distributions import Float
from bench.core.entries import Entry
from bench.reporting.findings import expected_curve
from bench.reporting.folders import collect
from bench.reporting.writers import markdown_table

SCORES = [0.6, 0.8, 0.7, 0.9, 0.5]


def folded(method, nested=False, **values):
    entry = Entry(name="hub", label="tweets", options={"folds": 5, **({"nested": True} if nested else {})})
    return cell(method=method, dataset="tweets", **values).model_copy(update={"dataset": entry})


@pytest.fixture
def results(tmp_path):
    records = [
        *study(folded("prompt", search={"learning_rate": Float(low=0.001, high=0.1)}), SCORES),
        *study(folded("majority", model=None, stochastic=False), [0.6, 0.6, 0.5, 0.6, 0.7]),
    ]
    return write_results(tmp_path, records)


def test_the_spread_is_that_of_the_folds_and_the_table_says_so(results):
    summary = summarise(collect(results).records)
    baseline, row = (summary.set_index("method").loc[name] for name in ("majority", "prompt"))
    assert (row["folds"], row["test_seeds"]) == (5, 5)
    assert row["test_mean"] == pytest.approx(0.7)
    assert row["test_sd"] == pytest.approx(stdev(SCORES))
    assert "5 of 5 folds" in markdown_table(summary)
    assert bool(baseline["stochastic"]), "without seeds it has a spread over folds too"
    assert baseline["test_sd"] == pytest.approx(stdev([0.6, 0.6, 0.5, 0.6, 0.7]))


def test_the_report_says_how_configurations_were_chosen(results):
    report = report_text_of(collect(results))
    assert "Cross-validated: tweets." in report
    assert "configurations were chosen on rows that other folds test on" in report
    assert "(5 folds)" in report
    assert "no seed changes it" not in report


def test_where_nothing_was_searched_nothing_was_chosen(tmp_path):
    report = report_text_of(collect(write_results(tmp_path, study(folded("prompt"), SCORES))))
    assert "Cross-validated: tweets." in report
    assert "were chosen" not in report


def test_without_folds_nothing_is_said_of_them(tmp_path):
    results = collect(write_results(tmp_path, study(cell(), SCORES)))
    assert "fold" not in report_text_of(results)
    assert "fold" not in markdown_table(summarise(results.records))


def test_nested_folds_count_the_finals_of_each_study(tmp_path):
    nested = folded("prompt", nested=True, search={"learning_rate": Float(low=0.001, high=0.1)})
    records = []
    for number, (rate, score) in enumerate([(0.01, 0.5)] * 5 + [(0.02, 0.6), (0.02, 0.4)] + [(0.02, 0.4)] * 3):
        records.append(run(nested, number, score=score, params={"learning_rate": rate}))
    # The second round was better in study 0 alone; a final of study 1 with its values does not count.
    for number, rate in enumerate([0.02, 0.01, 0.01, 0.01, 0.01]):
        records.append(run(nested, number, "final", SCORES[number], params={"learning_rate": rate}))
    records.append(run(nested, 1, "final", 0.0, params={"learning_rate": 0.02}))
    results = collect(write_results(tmp_path, records))
    [found] = results.cells
    assert [run.spec.number for run in found.best_trials.values()] == [5, 1, 2, 3, 4]
    assert found.scores == SCORES
    # Each study's best counts, and no one configuration is that of all finals.
    assert found.validation_best == pytest.approx((0.6 + 4 * 0.5) / 5)
    row = summarise(results.records).iloc[0]
    assert [one["learning_rate"] for one in json.loads(row["best_params"])] == [0.02, 0.01, 0.01, 0.01, 0.01]
    assert "| one a fold |" in markdown_table(summarise(results.records))
    assert expected_curve(found) == ([], None)  # no one study has these trials
    report = report_text_of(results)
    assert "each fold's configuration was chosen on rows outside it" in report
    assert "rows that other folds test on" not in report
