"""Transfer in tables, frames and words."""

from __future__ import annotations

from statistics import fmean, stdev

import pandas as pd
import pytest
from report_records import cell, report_text_of, run, scored_there, summarise, target, write_results

import bench
from bench.reporting.columns import all_columns
from bench.reporting.exports import long_frame
from bench.reporting.folders import collect
from bench.reporting.frame import plain_rows
from bench.runs.record import TrialRecord

SCORES = (0.4, 0.5, 0.9)


def finals(method="lora", scores=SCORES, metric="mcc", reason=None, to="imdb", **values):
    of = cell(method=method, transfer=(target(to, metric),))
    return [
        run(of, n, "final", 0.7, params={}, transfer={to: scored_there(score, metric, reason)}, **values)
        for n, score in enumerate(scores)
    ]


def test_a_record_with_transfer_is_the_same_when_read_again():
    (record,) = finals(scores=[0.25])
    assert TrialRecord.model_validate_json(record.model_dump_json()) == record


def test_the_table_has_mean_and_spread_of_the_other_data_set_s_main_metric():
    summary = summarise([*finals(), run(cell(method="other"), 0, "final", 0.6, params={})])
    by_method = summary.set_index("method")
    assert by_method.loc["lora", "transfer.imdb.mcc"] == pytest.approx(fmean(SCORES))
    assert by_method.loc["lora", "transfer.imdb.mcc_sd"] == pytest.approx(stdev(SCORES))
    assert by_method.loc["other", "transfer.imdb.mcc"] is pd.NA
    (column,) = (column for column in all_columns(summary) if "transfer" in column.heading)
    assert column.heading == "mcc on imdb (transfer)"
    assert [column.value(row) for row in plain_rows(summary)] == ["0.600 ± 0.265", "-"]


@pytest.mark.parametrize(("to", "metric"), [("imdb", "f1.macro"), ("imdb-v1.1", "mcc"), ("a.b", "c.d_sd")])
def test_labels_with_dots_head_their_column_as_they_are(to, metric):
    (column,) = (one for one in all_columns(summarise(finals(metric=metric, to=to))) if "transfer" in one.heading)
    assert column.heading == f"{metric} on {to} (transfer)"


def test_finals_that_did_not_end_well_are_not_in_the_mean():
    bad = finals(scores=[0.0], status="error")[0]
    bad = bad.model_copy(update={"spec": bad.spec.model_copy(update={"number": 9, "seed": 9})})
    assert summarise([*finals(), bad])["transfer.imdb.mcc"][0] == pytest.approx(fmean(SCORES))


def test_without_any_transfer_there_is_no_column_of_it():
    summary = summarise([run(cell(), 0, "final", 0.6, params={})])
    assert not [name for name in summary.columns if "transfer" in name]
    assert not [column for column in all_columns(summary) if "transfer" in column.heading]


def test_the_frames_have_all_metrics_by_run(tmp_path):
    frame = bench.load_results(write_results(tmp_path / "r", finals()))
    assert frame["transfer.imdb.mcc"].tolist() == list(SCORES)
    assert frame["transfer.imdb.loss"].tolist() == [0.9] * 3
    long = long_frame(frame)
    assert long.query("quantity == 'transfer.imdb.mcc'")["value"].tolist() == list(SCORES)


def test_the_report_says_what_was_not_transferred_and_why(tmp_path):
    reason = "it has learned to answer a, not <b>"
    records = [*finals(), *finals("majority", [None, None], reason=reason)]
    report = report_text_of(collect(write_results(tmp_path / "r", records)))
    line = next(line for line in report.splitlines() if "Not transferred" in line)
    assert line == "- Not transferred from trec6 to imdb: majority; it has learned to answer a, not &lt;b&gt;."


def test_another_state_of_the_other_data_set_is_flagged(tmp_path):
    first, second, _ = finals()
    other = second.transfer["imdb"].model_copy(update={"data_revision": "e" * 64})
    records = [first, second.model_copy(update={"transfer": {"imdb": other}})]
    report = report_text_of(collect(write_results(tmp_path / "r", records)))
    assert "Not alike in all runs: data revision of data set imdb (dddddddddddd, eeeeeeeeeeee)." in report
