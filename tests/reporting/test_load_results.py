"""Results folders in, a tidy frame out."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pandas as pd
import pytest
from report_records import cell, run, study, write_results

from bench.core.errors import BadInput
from bench.experiment.settings import Finals
from bench.reporting.folders import collect
from bench.reporting.frame import load_results, typed
from bench.reporting.writers import csv_table
from bench.runs.manifest import Manifest, Planned
from bench.runs.record import Evaluated


def test_every_run_is_a_row_and_what_is_missing_is_missing(tmp_path):
    records = [*study(cell(), [0.7, 0.8]), run(cell(method="full"), status="oom", reason="no memory")]
    frame = load_results(write_results(tmp_path / "r", records))
    assert len(frame) == 4
    failed = frame[frame["status"] == "oom"].iloc[0]
    assert failed["reason"] == "no memory"
    for name in (
        "objective",
        "test.accuracy",
        "parameters.total",
        "memory.train.live_tensor_peak_bytes",
        "seconds.train",
    ):
        assert failed[name] is pd.NA, name
    final = frame[(frame["kind"] == "final") & (frame["number"] == 1)].iloc[0]
    assert final["test.accuracy"] == 0.8
    assert final["parameters.percent"] == pytest.approx(100 * 8192 / 1_008_192)
    assert final["param.learning_rate"] == 0.01
    assert frame["parameters.total"].dtype == "Int64"


def test_validation_columns_are_those_of_the_best_step(tmp_path):
    curve = [Evaluated(step=step, metrics={"accuracy": score}, loss=score) for step, score in ((10, 0.9), (20, 0.4))]
    frame = load_results(write_results(tmp_path / "r", [run(cell(), validation_curve=curve, best_step=10)]))
    assert (frame["validation.accuracy"][0], frame["validation.loss"][0]) == (0.9, 0.9)


def test_selected_marks_the_best_trial_and_its_finals(tmp_path):
    lora = cell()
    other = {"learning_rate": 0.5}
    records = [*study(lora, [0.7]), run(lora, 1, score=0.1, params=other), run(lora, 5, "final", 0.9, params=other)]
    frame = load_results(write_results(tmp_path / "r", records))
    marked = frame[frame["selected"]]
    assert sorted(zip(marked["kind"], marked["number"], strict=True)) == [("final", 0), ("trial", 0)]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None], "Int64"),
        ([1.0, 0.0, None], "Float64"),
        ([1, 0.5], "Float64"),
        ([True, None], "boolean"),
        (["a", None], "string"),
        ([[1], None], "object"),
    ],
)
def test_a_column_keeps_the_type_of_its_values(values, dtype):
    column = typed(values)
    assert column.dtype == dtype
    assert [None if value is pd.NA else value for value in column] == values


def test_a_column_of_values_of_several_types_is_of_texts():
    assert list(typed(["auto", 8, None]).astype(object)) == ["auto", "8", pd.NA]


def test_records_of_cells_that_are_no_longer_current_are_left_out_and_counted(tmp_path):
    current, earlier = cell(), cell(version=0)
    root = write_results(tmp_path / "r", [*study(current, [0.7]), *study(earlier, [0.1, 0.1])], current=[current.path])
    frame = load_results(root)
    assert set(frame["cell_path"]) == {current.path}
    assert frame.attrs["left_out"]["stale"] == 3


def test_without_an_experiment_file_all_records_count(tmp_path):
    root = write_results(tmp_path / "r", [*study(cell(), [0.7]), *study(cell(version=0), [0.1])], current=[])
    (root / "experiment.json").unlink()
    frame = load_results(root)
    assert len(frame) == 4
    assert frame["method"].nunique() == 2, "two versions of one cell are not taken for one"


def test_reading_leaves_a_torn_file_where_it_is_and_counts_it(tmp_path):
    root = write_results(tmp_path / "r", study(cell(), [0.7]))
    torn = root / "records" / cell().path / "trial-00009.json"
    torn.write_text('{"schema_version": 1, "spec"')
    assert load_results(root).attrs["left_out"]["unreadable"] == 1
    assert torn.exists()


def test_the_same_run_in_two_folders_is_one_seed_and_a_good_end_is_kept(tmp_path):
    lora = cell()
    first = [run(lora), run(lora, 0, "final", status="killed"), run(lora, 1, "final", 0.8)]
    folders = [
        write_results(tmp_path / "a", first),
        write_results(tmp_path / "b", study(lora, [0.7, 0.1])),
    ]
    found = collect(folders)
    (merged,) = found.cells
    assert sorted(merged.scores) == [0.7, 0.8]
    assert found.repeated == 3


def test_a_folder_that_is_named_twice_counts_once(tmp_path):
    root = write_results(tmp_path / "r", study(cell(), [0.7]))
    found = collect([root, root / ".." / "r"])
    assert (len(found.records), found.repeated) == (2, 0)


def test_one_label_for_two_settings_becomes_two_methods_named_after_their_folders(tmp_path):
    small, large = cell(options={"rank": 4}), cell(options={"rank": 64})
    folders = [
        write_results(tmp_path / "small", [*study(small, [0.5]), *study(cell(method="full"), [0.6])]),
        write_results(tmp_path / "large", [*study(large, [0.7]), *study(cell("other", options={"rank": 64}), [0.8])]),
    ]
    named = {(c.model, c.method): c.mean for c in collect(folders).cells}
    assert named == {
        ("tiny", "full"): 0.6,
        ("tiny", "lora (small)"): 0.5,
        ("tiny", "lora (large)"): 0.7,
        ("other", "lora (large)"): 0.8,
    }


def test_the_frame_survives_a_round_trip_through_csv(tmp_path):
    reason = 'torn, "quoted"\nand | on two lines'
    records = [*study(cell(), [0.1 + 0.2, 1.0]), run(cell(method="full"), status="error", reason=reason)]
    frame = load_results(write_results(tmp_path / "r", records))
    again = pd.read_csv(io.StringIO(csv_table(frame)), dtype=frame.dtypes.to_dict())
    pd.testing.assert_frame_equal(again, frame, rtol=1e-14)


def damaged(tmp_path):
    write_results(tmp_path, study(cell(), [0.7]))
    (tmp_path / "experiment.json").write_text(json.dumps(["no"]))


def stale(tmp_path):
    write_results(tmp_path, study(cell(), [0.7]), current=["other/cell"])


def torn(tmp_path):
    folder = tmp_path / "records" / "a"
    folder.mkdir(parents=True)
    (folder / "trial-00000.json").write_text("{")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "is not a results folder"),
        (lambda path: path.rmdir(), "there is no such folder"),
        (lambda path: write_results(path, []), "holds no records yet"),
        (stale, "all 2 are of an earlier version"),
        (torn, "none of the 1 files under records/ is a whole record"),
        (damaged, "is damaged"),
    ],
)
def test_a_folder_without_results_gets_one_clear_line(tmp_path, prepare, message):
    folder = tmp_path / "r"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(BadInput) as caught:
        load_results(folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_importing_the_package_is_cheap_and_reporting_never_loads_torch(tmp_path):
    root = write_results(tmp_path / "r", study(cell(), [0.7, 0.8]))
    code = f"""
import sys
import bench
early = {{"pandas", "matplotlib", "seaborn", "rich", "torch"}} & set(sys.modules)
assert not early, early
bench.load_results({str(root)!r})
import bench.reporting.report, bench.reporting.figures.scale, seaborn
late = {{"torch", "transformers", "peft", "optuna"}} & set(sys.modules)
assert not late, late
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_finals_that_are_not_planned_now_are_left_out_and_counted(tmp_path):
    """Others' draws of the splits, or more seeds than the experiment has now."""
    lora = cell(finals=Finals(seeds=2))
    redrawn = cell(finals=Finals(seeds=2, splits="redraw"))
    assert lora.path == redrawn.path
    others = [run(redrawn, 1, "final", 0.1), run(lora, 2, "final", 0.1)]
    root = write_results(tmp_path / "r", [*study(lora, [0.7, 0.8]), *others])
    manifest = Manifest.read(root)
    manifest.model_copy(update={"cells": {lora.path: Planned.of(lora)}}).write(root)
    results = collect(root)
    assert results.cells[0].scores == [0.7, 0.8]
    assert (results.stale, results.superseded) == (2, ("tiny / trec6 / lora (finals that are not planned now)",))
