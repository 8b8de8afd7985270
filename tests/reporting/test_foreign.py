"""``bench import``: results of other tools. All files here are made up, in the format of the tool."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_records import cell, study, write_results
from scipy import stats
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import BadInput
from bench.reporting.folders import collect
from bench.reporting.foreign.lm_eval import read_lm_eval
from bench.reporting.foreign.peft import read_peft
from bench.reporting.foreign.runs import ForeignRun, tables


def peft_file(right=631, method="lora", **values):
    """A run of method_comparison with so many right answers of 1,319."""
    happened = {
        "status": "success",
        "accelerator_memory_max": 22_000_000_000,
        "train_time": 900.0,
        "num_trainable_params": 9_000_000,
        "file_size": 36_000_000,
        "metrics": [
            {"step": 250, "valid accuracy": 0.3},
            {"step": 5000, "test accuracy": right / 1319, "train loss": 0.6},
        ],
    }
    return {
        "run_info": {
            "experiment_name": f"{method}/made-up",
            "train_config": {"model_id": "made/up-1B", "seed": 0},
            "error_msg": "",
        },
        "train_info": {**happened, **values},
        "meta_info": {"dataset_info": {"metamath": {}, "gsm8k": {}}, "system_info": {"accelerator": "made-up GPU"}},
    }


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(files):
        (folder / f"run-{number}.json").write_text(json.dumps(data))
    return folder


def bench(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})
    if isinstance(done.exception, BadInput):
        return str(done.exception)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_standard_error_is_that_of_a_share_of_the_test_items(tmp_path):
    (one,) = read_peft(write(tmp_path / "MetaMathQA" / "results", [peft_file()]))
    assert (one.task, one.model, one.items, one.memory_bytes) == ("MetaMathQA", "made/up-1B", 1319, 22_000_000_000)
    p = 631 / 1319
    assert one.error == pytest.approx(math.sqrt(p * (1 - p) / 1319), rel=0.002)


def test_whether_two_runs_can_be_ordered_is_the_test_of_two_shares(tmp_path):
    (table,) = tables(read_peft(write(tmp_path / "r", [peft_file(694), peft_file(620), peft_file(640)])))
    assert [round(run.score * 1319) for run in table.runs] == [694, 640, 620]
    peer = stats.ttest_ind_from_stats(694 / 1319, 0.4995, 1319, 620 / 1319, 0.4993, 1319, equal_var=False).pvalue
    assert table.corrected[0, 2] == pytest.approx(3 * peer, rel=0.02)
    assert len(table.unordered) == 2
    assert table.ranks == [1, 1, 2]


def test_runs_that_lie_close_together_cannot_be_ordered_and_it_is_said(tmp_path):
    folder = write(tmp_path / "made-up" / "results", [peft_file(694 - 5 * n, f"method{n}") for n in range(10)])
    said = bench("import", "peft", folder, "--out", tmp_path / "out")
    assert "made-up: test accuracy (foreign: PEFT method_comparison)" in said
    assert "The first 10 (0.526 to 0.492) cannot be ordered: not one of their 45 pairs is beyond chance." in said
    assert "standard error of a score is up to 1.4 points" in said
    assert "A gap under 3.8 points" in said
    assert "One seed a run: nothing can be said about what another seed would change." in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "foreign.csv", "foreign.md", "pareto.png", "pareto.svg"
    }  # fmt: skip


def test_foreign_records_are_marked_wherever_they_are_written(tmp_path):
    folder = write(tmp_path / "r", [peft_file(694), peft_file(20)])
    bench("import", "peft", folder, "--out", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "foreign.csv").open()))
    assert {row["source"] for row in rows} == {"PEFT method_comparison"}
    text = (tmp_path / "out" / "foreign.md").read_text()
    assert text.startswith("# Foreign records") and "They are not ours" in text
    assert "Foreign records (PEFT method_comparison)" in (tmp_path / "out" / "pareto.svg").read_text()


def test_foreign_records_are_no_results_that_a_report_could_read(tmp_path):
    folder = write(tmp_path / "r", [peft_file()])
    bench("import", "peft", folder, "--out", tmp_path / "out")
    for where in (folder, tmp_path / "out"):
        with pytest.raises(BadInput, match="is not a results folder"):
            collect(where)
    write_results(tmp_path / "ours", study(cell(), [0.5, 0.6, 0.7]))
    (tmp_path / "ours" / "records" / "foreign.json").write_text(json.dumps(peft_file()))
    ours = collect(tmp_path / "ours")
    assert (len(ours.records), len(ours.unreadable)) == (4, 1)


def test_the_front_has_what_no_other_run_beats_in_score_and_cost():
    def made(name, score, cost):
        return ForeignRun("tool", "f", name, "m", "t", "acc", score, 0.01, 1000, memory_bytes=cost)

    (table,) = tables(
        [made("a", 0.5, 10), made("b", 0.4, 5), made("c", 0.4, 20), made("d", 0.6, 30), made("e", 0.5, 10)]
    )
    assert [run.name for run in table.front("memory_bytes")] == ["b", "a", "d"]
    assert table.front("train_seconds") == []


def test_a_run_that_failed_has_its_row_and_its_reason(tmp_path):
    failed = peft_file(status="failed", metrics=[])
    failed["run_info"]["error_msg"] = "out of memory"
    folder = write(tmp_path / "r", [peft_file(), failed])
    said = bench("import", "peft", folder, "--out", tmp_path / "out")
    assert "2 runs, 1 with a score" in said and "failed: out of memory" in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d["train_info"].pop("status"), "run-0.json: train_info.status: this key is missing"),
        (lambda d: d["run_info"].update(train_config=3), "run-0.json: run_info.train_config: "),
        (lambda d: d["train_info"].update(train_time="long"), "run-0.json: train_info.train_time: "),
        (lambda d: d["train_info"].update(metrics=[{"step": 1}]), "train_info.metrics[0]: expected 'test accuracy'"),
        (lambda d: d["train_info"]["metrics"][1].update({"test accuracy": 47.8}), "from 0 to 1"),
        (lambda d: d["train_info"]["metrics"][1].update({"test accuracy": 0.4777}), "0.4777 is no accuracy over 1319"),
        (lambda d: d["meta_info"].update(dataset_info={}), "meta_info.dataset_info: its test split is not known"),
    ],
)
def test_a_bad_file_is_one_line_with_file_and_key(tmp_path, spoil, said):
    data = peft_file()
    spoil(data)
    found = bench("import", "peft", write(tmp_path / "r", [data]), "--out", tmp_path / "out")
    assert said in found and "\n" not in found
    assert not (tmp_path / "out").exists()


def test_a_folder_without_files_and_files_that_are_no_json_are_refused(tmp_path):
    assert "there is no such folder" in bench("import", "peft", tmp_path / "none")
    (tmp_path / "r").mkdir()
    assert "holds no .json file" in bench("import", "peft", tmp_path / "r")
    (tmp_path / "r" / "x.json").write_text("{")
    assert "x.json: is no JSON" in bench("import", "peft", tmp_path / "r")
    (tmp_path / "r" / "x.json").write_text("[]")
    assert "x.json: expected an object at the top, found list" in bench("import", "peft", tmp_path / "r")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["run_info", "train_info", "meta_info", "metrics", "status", "results", "n-samples", "task", "acc,none"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(JSON)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("r")
    (folder / "x.json").write_text(json.dumps(data))
    for read in (lambda: read_peft(folder), lambda: read_lm_eval([folder / "x.json"])):
        try:
            read()
        except BadInput as error:
            assert "x.json: " in str(error)


def lm_eval_file(model="owner/one", score=0.6, items=500, **values):
    data = {
        "results": {
            "made_up_task": {
                "alias": "made_up_task",
                "acc,none": score,
                "acc_stderr,none": math.sqrt(score * (1 - score) / (items - 1)),
                "acc_norm,none": score + 0.02,
                "acc_norm_stderr,none": "N/A",
            }
        },
        "config": {"model": "hf", "model_args": f"pretrained={model},dtype=float32"},
        "n-shot": {"made_up_task": 5},
        "n-samples": {"made_up_task": {"original": items, "effective": items}},
        "higher_is_better": {"made_up_task": {"acc": True, "acc_norm": True}},
    }
    return {**data, **values}


def test_scores_of_lm_eval_are_compared_by_task_and_metric_with_its_standard_errors(tmp_path):
    write(tmp_path, [lm_eval_file(), lm_eval_file("owner/two", 0.62), lm_eval_file("owner/three", 0.8)])
    acc, norm = tables(read_lm_eval(sorted(tmp_path.glob("*.json"))))
    assert (acc.title, norm.title) == ("made_up_task (5-shot): acc", "made_up_task (5-shot): acc_norm")
    assert [run.name for run in acc.runs] == ["owner/three", "owner/two", "owner/one"]
    assert acc.ranks == [1, 2, 2]
    assert norm.unordered is None and norm.ranks == [None] * 3
    said = bench("import", "lm-eval", *sorted(tmp_path.glob("*.json")), "--out", tmp_path / "out")
    assert "Of the first 3 (0.800 to 0.600), 1 of 3 pairs cannot be ordered." in said
    assert "Which scores differ by more than chance cannot be told: no standard error." in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"results": {}}, "results: no task has a score"),
        ({"results": {"task": 3}}, "run-0.json: results.task: "),
        ({"n-samples": {"made_up_task": {}}}, "run-0.json: n-samples.made_up_task.effective: this key is missing"),
    ],
)
def test_a_bad_file_of_lm_eval_is_one_line_with_file_and_key(tmp_path, values, said):
    found = bench("import", "lm-eval", write(tmp_path, [lm_eval_file(**values)]) / "run-0.json")
    assert said in found and "\n" not in found


def test_what_we_write_for_lm_eval_is_read_as_foreign(tmp_path):
    write_results(tmp_path / "ours", study(cell("small"), [0.7, 0.8, 0.75], items=100))
    bench("convert", "lm-eval", tmp_path / "ours", "--out", tmp_path / "converted")
    (path,) = Path(tmp_path / "converted").glob("*.json")
    (one,) = read_lm_eval([path])
    assert (one.name, one.items, one.score) == ("small__lora", 100, pytest.approx(0.75))
