"""Forms that other tools read, held against those tools."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
import scipy.stats
import yaml
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from hypothesis import given
from hypothesis import strategies as st
from report_records import answered, cell, run, study, summarise, write_results

from bench.core.distributions import Choice
from bench.core.errors import BadInput
from bench.reporting import text
from bench.reporting.compare import compare
from bench.reporting.exports import convert, lm_eval_results, long_frame, model_index
from bench.reporting.folders import collect
from bench.reporting.frame import results_frame
from bench.reporting.grouping import group_cells
from bench.reporting.table import summarise_cells
from bench.reporting.writers import latex_table, markdown_table
from bench.runs.record import Answers, Parameters


@pytest.fixture
def results(tmp_path):
    records = [*study(cell(), [0.5, 0.7]), *study(cell(method="full"), [0.8, 0.9]), run(cell(), 1, status="oom")]
    return collect(write_results(tmp_path / "r", records))


def test_the_model_index_is_read_by_the_hubs_own_client(results):
    (lora,) = (one for one in results.cells if one.method == "lora")
    data = yaml.safe_load(yaml.safe_dump(model_index([lora])))
    name, found = model_index_to_eval_results(data["model-index"])
    assert name == "tiny-lora"
    assert [(one.metric_type, one.metric_value, one.dataset_name) for one in found] == [("accuracy", 0.6, "trec6")]
    assert isinstance(found[0], EvalResult)
    assert (found[0].task_type, found[0].metric_name) == ("text-classification", "accuracy (mean over 2 seeds)")
    card = ModelCard(f"---\n{yaml.safe_dump(data)}---\n# Text")
    assert card.data.eval_results[0].metric_value == 0.6


def test_free_text_is_exported_as_generation_of_so_many_answers():
    answers = Answers(ids=["a", "b", "c"], scores={"f1": [1.0, 0.0, 0.5]})
    cells = group_cells(study(cell(), [0.5], answers=answers))
    _, (found,) = model_index_to_eval_results(model_index(cells)["model-index"])
    assert found.task_type == "text-generation"
    assert lm_eval_results(cells)["n-samples"] == {"trec6": {"original": 3, "effective": 3}}


def test_the_harness_json_has_the_harness_keys(results):
    (lora,) = (one for one in results.cells if one.method == "lora")
    found = json.loads(json.dumps(lm_eval_results([lora]), allow_nan=False))
    assert found["results"]["trec6"]["accuracy,none"] == 0.6
    assert found["results"]["trec6"]["accuracy_stderr,none"] == "N/A"
    assert {"configs", "versions", "n-shot", "higher_is_better", "n-samples", "config", "git_hash"} <= set(found)
    assert found["higher_is_better"] == {"trec6": {"accuracy": True}}


def test_the_standard_error_for_the_harness_is_over_items_as_its_own_is():
    runs = study(cell(stochastic=False), [0.8], predictions=answered(80, 100))
    found = lm_eval_results(group_cells(runs))["results"]["trec6"]
    answers = [1.0] * 80 + [0.0] * 20
    assert found["accuracy_stderr,none"] == pytest.approx(scipy.stats.sem(answers))


def test_the_harness_is_told_the_shots_of_the_prompt_and_the_version_of_the_data():
    nothing = Parameters(total=5, trainable=0, base=5)
    shown = study(cell(method="hard", options={"shots": 4}, data_pin="p" * 64, version=7), [0.5], parameters=nothing)
    searched = cell(dataset="searched", method="hard", search={"shots": Choice(choices=(0, 8))})
    shown += study(searched, [0.5], params={"shots": 8}, parameters=nothing)
    shown += study(cell(dataset="zero", method="hard", data_pin="q" * 64), [0.5], parameters=nothing)
    found = lm_eval_results(group_cells(shown))
    assert found["n-shot"] == {"trec6": 4, "searched": 8, "zero": 0}
    assert found["versions"] == {"trec6": "p" * 12, "searched": "d" * 12, "zero": "q" * 12}
    trained = lm_eval_results(group_cells(study(cell(), [0.5])))
    assert trained["n-shot"] == {"trec6": 0}


def test_the_long_frame_is_the_frame_turned(results):
    frame = results_frame(results)
    long = long_frame(frame)
    wide = long.pivot(index="spec_hash", columns="quantity", values="value")
    for name in ("test.accuracy", "seconds.train", "memory.train.live_tensor_peak_bytes"):
        expected = frame.dropna(subset=name).set_index("spec_hash")[name].astype(float)
        pd.testing.assert_series_equal(
            wide[name].dropna().astype(float).sort_index(), expected.sort_index(), check_names=False
        )
    assert not long["value"].isna().any()


def test_where_nothing_was_tested_there_is_nothing_to_convert(tmp_path):
    root = write_results(tmp_path / "r", [run(cell(), status="oom")])
    with pytest.raises(BadInput, match="no cell has a score on test"):
        convert(collect(root), "lm-eval", tmp_path / "out")


@given(st.text(max_size=60))
def test_no_text_is_a_command_a_comment_or_a_column_in_latex(raw):
    shown = text.latex(raw, 10_000)
    assert len(shown.splitlines()) <= 1
    ours = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textquotedbl)\{\}"
    rest = re.sub(rf"{ours}|\\[{{}}$&#_%]|\$\\(pm|approx)\$", "", shown)
    assert not re.search(r'[\\{}$&#_%~^<>|"]', rest)


def test_the_latex_table_has_rules_marks_and_escaped_names():
    lora, full = study(cell(), [0.79, 0.8, 0.83], items=100), study(cell(method="full"), [0.8, 0.81, 0.82], items=100)
    cells = group_cells([*lora, *full, *study(cell(method="c"), [0.1, 0.11, 0.12], items=100)])
    lora = next(one for one in cells if one.method == "lora")
    renamed = group_cells([run for one in cells for run in one.runs], {lora.path: r"50% of_a & \b"})
    table = latex_table(summarise_cells(renamed), "A 100% true_caption")
    for part in (r"\toprule", r"\bottomrule", r"50\% of\_a \& \textbackslash{}b", r"\textbf{0.810 $\pm$ 0.010}"):
        assert part in table, part
    assert r"\textbf{0.807 $\pm$ 0.021 $\approx$}" in table
    assert r"\underline{0.110 $\pm$ 0.010}" in table
    assert r"\caption{A 100\% true\_caption}" in table
    rows = [line for line in table.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1


def test_best_second_and_what_is_within_chance_are_marked():
    records = [
        *study(cell(method="a"), [0.80, 0.81, 0.82], items=100),
        *study(cell(method="b"), [0.79, 0.80, 0.83], items=100),
        *study(cell(method="c"), [0.40, 0.41, 0.42], items=100),
        *study(cell(method="d"), [0.10, 0.11, 0.12], items=100),
    ]
    table = markdown_table(summarise(records))
    assert "**0.810 ± 0.010**" in table
    assert "**0.807 ± 0.021 ≈**" in table
    assert "<ins>0.410 ± 0.010</ins>" in table
    assert "| 0.110 ± 0.010 |" in table


def test_the_gap_to_full_fine_tuning_is_that_of_the_same_size_by_whatever_name():
    everything = Parameters(total=5, trainable=5, base=5)
    records = [*study(cell(method="all-weights"), [0.8, 0.8], parameters=everything), *study(cell(), [0.5, 0.7])]
    records += study(cell("other"), [0.9])
    rows = summarise(records).set_index(["model", "method"])["gap_to_full"]
    assert rows["tiny", "lora"] == pytest.approx(-0.2)
    assert rows.isna().sum() == 2, "itself, and the model that was not fully fine-tuned"


def test_what_changed_between_two_results_has_an_interval_and_says_what_else_differs(tmp_path):
    before = collect(
        write_results(tmp_path / "a", [*study(cell(), [0.5, 0.51, 0.52], items=100), *study(cell(method="x"), [0.1])])
    )
    after = collect(write_results(tmp_path / "b", study(cell(version=2), [0.9, 0.91, 0.92], items=100)))
    found = compare(before, after)
    (change,) = found.changes
    assert change.between.verdict == "beyond"
    assert change.gap == pytest.approx(0.4)
    assert 0.28 < change.between.interval.low < 0.4 < change.between.interval.high < 0.52
    assert change.unlike == ("settings",)
    assert found.only_before == ("tiny / trec6 / x",)


def test_changes_of_several_methods_are_corrected_together_as_in_a_report(tmp_path):
    """A change that would be beyond chance by itself is not, among nine that are held against each other."""
    methods = [f"m{n}" for n in range(9)]
    old = [record for m in methods for record in study(cell(method=m), [0.5, 0.5, 0.5, 0.5, 0.5], items=200)]
    new = [record for m in methods[1:] for record in study(cell(method=m), [0.51, 0.49, 0.52, 0.48, 0.5], items=200)]
    new += study(cell(method="m0"), [0.53, 0.51, 0.54, 0.52, 0.53], items=200)
    before, after = (collect(write_results(tmp_path / name, of)) for name, of in (("old", old), ("new", new)))
    changes = {change.after.method: change.between for change in compare(before, after).changes}
    assert changes["m0"].p < 0.05 < changes["m0"].corrected and changes["m0"].verdict == "within"
    alone = compare(collect(write_results(tmp_path / "alone", old[:6])), after).changes[0].between
    assert alone.p == changes["m0"].p and alone.verdict == "beyond"
