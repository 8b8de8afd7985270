"""Large folders: a compacted copy beside the records, that never says anything but what they say."""

from __future__ import annotations

import json
import os

import pytest
from report_records import cell, run, study, write_results

from bench.core.config import content_hash
from bench.reporting import collect, compact
from bench.reporting.compact import FILENAME, Compact
from bench.reporting.frame import results_frame
from bench.reporting.progress import progress
from bench.reporting.table import summarise_cells
from bench.runs.manifest import Manifest
from bench.runs.record import Predictions, TrainStep, dump_record


def records():
    predictions = Predictions(ids=["a"], references=[0], predictions=[0], labels=["x"])
    curve = [TrainStep(step=1, loss=1.0, learning_rate=0.1, grad_norm=1.0, tokens=3)]
    found = []
    for method in ("lora", "prompt"):
        found += study(cell(method=method), [0.5, 0.7, 0.6], predictions=predictions, train_curve=curve)
        found += [
            run(cell(method=method), n, score=n / 100, params={"rank": n}, train_curve=curve) for n in range(1, 8)
        ]
    found.append(run(cell(method="lora"), 9, status="oom", reason="no room"))
    found.append(run(cell(method="lower", greater_is_better=False), 0, score=0.2))
    found.append(run(cell(method="lower", greater_is_better=False), 1, score=0.1, params={"rank": 1}))
    return found


@pytest.fixture
def root(tmp_path):
    return write_results(tmp_path / "r", records())


@pytest.fixture
def large(monkeypatch):
    """Every folder is a large one."""

    def switch(on=True):
        monkeypatch.setattr(compact, "LARGE", 1 if on else 10**9)
        monkeypatch.setattr(compact, "_WORTH_WRITING", 1)

    return switch


def said(root):
    found = collect(root)
    frame = results_frame(found).sort_values("spec_hash").reset_index(drop=True)
    return summarise_cells(found.cells).to_csv(), frame.to_csv(), found.unreadable


def test_a_large_folder_says_what_a_small_one_says_written_fresh_and_read_again(root, large):
    large(False)
    expected = said(root)
    assert not (root / FILENAME).exists()
    large()
    assert said(root) == expected
    assert (root / FILENAME).exists()
    assert said(root) == expected


def test_progress_is_the_same_too_and_the_best_is_the_lowest_where_lower_is_better(root, large):
    manifest = Manifest.read(root)
    large(False)
    expected = progress(root, manifest)
    large()
    assert progress(root, manifest) == expected
    assert {one.labels[2]: one.best for one in expected} == {"lora": 0.6, "prompt": 0.6, "lower": 0.1}
    assert next(one for one in expected if one.labels[2] == "lora").statuses == {"ok": 11, "oom": 1}


def test_runs_that_count_keep_curves_and_predictions_the_others_do_not(root, large):
    large()
    (lora,) = (one for one in collect(root).cells if one.method == "lora")
    assert all(final.predictions and final.train_curve for final in lora.finals)
    assert lora.best.train_curve
    assert not any(one.train_curve for one in lora.trials if one is not lora.best)


def test_a_file_that_changed_or_is_new_is_read_again_and_one_that_is_gone_is_gone(root, large):
    large()
    collect(root)
    files = sorted((root / "records" / cell().path).glob("trial-*.json"))
    changed = run(cell(), 1, score=0.99, params={"rank": 1})
    files[1].write_bytes(dump_record(changed))
    os.utime(files[1], ns=(1, 1))
    new = run(cell(), 50, score=0.3, params={"rank": 50})
    (files[0].parent / "trial-00050.json").write_bytes(dump_record(new))
    files[2].unlink()
    (lora,) = (one for one in collect(root).cells if one.method == "lora")
    assert lora.best.objective == 0.99
    assert {one.spec.number for one in lora.trials} == {0, 1, 3, 4, 5, 6, 7, 9, 50}


@pytest.mark.parametrize("damage", [b"", b"no parquet", b"PAR1"])
def test_a_damaged_copy_is_made_anew(root, large, damage):
    large()
    expected = said(root)
    (root / FILENAME).write_bytes(damage)
    assert said(root) == expected
    assert len((root / FILENAME).read_bytes()) > 100


def test_a_torn_record_is_counted_and_left_where_it_is(root, large):
    large()
    torn = root / "records" / cell().path / "trial-00077.json"
    torn.write_text("{")
    assert collect(root).unreadable == 1
    assert collect(root).unreadable == 1, "read from the copy"
    assert torn.exists()


def doctored(root, change, sealed):
    """Change a stored record; ``sealed`` puts a right checksum on it, as another version of ours would."""
    file = root / "records" / cell().path / "trial-00003.json"
    data = json.loads(file.read_text())
    change(data)
    if sealed:
        data.pop("checksum")
        data["checksum"] = content_hash(data)
    file.write_text(json.dumps(data, indent=1))


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(objective=0.99),
        lambda data: data.update(status="splendid"),
        lambda data: data.update(invented=1),
        lambda data: data.update(objective="0.9"),
        lambda data: data["spec"].update(number="three"),
        lambda data: data["spec"]["cell"].update(invented=1),
        lambda data: data["spec"].pop("seed"),
        lambda data: data["provenance"].update(invented=1),
        lambda data: data["memory"].update(train=3),
        lambda data: data.update(validation_curve=[{}]),
        lambda data: data.pop("transfer"),
        lambda data: data.pop("started_at"),
    ],
)
def test_whatever_was_done_to_a_record_a_large_folder_finds_it_as_a_small_one_does(root, large, change, sealed):
    doctored(root, change, sealed)
    large(False)
    expected = said(root)
    large()
    assert said(root) == expected
    assert said(root) == expected, "read from the copy"


def test_many_new_files_join_those_that_the_copy_has(root, large, monkeypatch):
    large()
    collect(root)
    files = sorted((root / "records" / cell().path).glob("trial-*.json"))
    files[2].unlink()
    for number in range(60, 80):
        (files[0].parent / f"trial-{number:05d}.json").write_bytes(
            dump_record(run(cell(), number, score=number / 100, params={"rank": number}))
        )
    monkeypatch.setattr(compact, "_WORTH_WRITING", 20)
    monkeypatch.setattr(compact, "ROW_GROUP", 7)
    first, again = Compact(root), Compact(root)
    assert [row.path for row in first.rows] == sorted(row.path for row in first.rows)
    numbers = [(row.path, first.record(row).spec.number, row.number) for row in first.rows if "trial" in row.path]
    assert all(number == in_row and f"{number:05d}" in path for path, number, in_row in numbers)
    monkeypatch.setattr(compact, "_WORTH_WRITING", 10**9)
    assert [again.record(row) for row in again.rows] == [first.record(row) for row in first.rows]
    large(False)
    assert len(first.rows) == len(collect(root).records)


def test_a_folder_that_cannot_be_written_is_read_all_the_same(root, large, monkeypatch):
    large()

    def refuse(path, data):
        raise PermissionError("read-only")

    monkeypatch.setattr(compact, "write_atomic", refuse)
    assert len(Compact(root).rows) == len(records())
    assert not (root / FILENAME).exists()
