"""How far a cell is: what counts as done."""

from __future__ import annotations

import pytest
from report_records import cell, run, scored_there, target, write_results

from bench.core.errors import BadInput
from bench.reporting.progress import progress
from bench.runs.manifest import Manifest, Planned


def asked(root, of, targets):
    """The folder's progress, where finals of a cell are to be tested on these data sets too."""
    Manifest(experiment={"name": "demo"}, cells={of.path: Planned(trials=1, finals=2, targets=targets)}).write(root)
    (one,) = progress(root, Manifest.read(root))
    return one


def test_finals_that_were_not_tested_where_they_are_now_to_be_are_not_done(tmp_path):
    plain, moved = cell(), cell(transfer=(target("imdb"),))
    assert plain.path == moved.path
    finals = [run(plain, n, "final") for n in range(2)]
    root = write_results(tmp_path / "r", [run(plain), *finals])
    assert asked(root, plain, plain.targets).finals == 2
    before = asked(root, moved, moved.targets)
    assert (before.trials, before.finals, before.statuses) == (1, 0, {"ok": 1})
    write_results(root, [run(moved, 0, "final", transfer={"imdb": scored_there(0.4)})])
    assert asked(root, moved, moved.targets).finals == 1


def test_a_manifest_that_does_not_say_where_finals_are_tested_takes_all_of_them(tmp_path):
    root = write_results(tmp_path / "r", [run(cell()), run(cell(transfer=(target("imdb"),)), 0, "final")])
    assert asked(root, cell(), None).finals == 1


def test_the_best_is_the_lowest_where_lower_is_better_and_all_ends_are_counted(tmp_path):
    lower = cell(method="lower", greater_is_better=False)
    records = [run(lower, n, score=score, params={"rank": n}) for n, score in enumerate((0.2, 0.1, 0.3))]
    records += [run(lower, 3, status="oom", reason="no room"), run(lower, 0, "final", params={"rank": 1})]
    records += [run(lower, 1, "final", params={"rank": 0}), run(cell(), 0, score=0.4)]
    root = write_results(tmp_path / "r", records)
    found = {one.labels[2]: one for one in progress(root, Manifest.read(root))}
    assert (found["lower"].best, found["lora"].best) == (0.1, 0.4)
    assert (found["lower"].trials, found["lower"].finals) == (4, 1), "the other final is not of the best configuration"
    assert found["lower"].statuses == {"ok": 4, "oom": 1}


def test_what_is_no_whole_record_is_not_counted_and_a_file_that_was_mended_is(tmp_path):
    root = write_results(tmp_path / "r", [run(cell(), n, score=n / 10, params={"rank": n}) for n in range(3)])
    manifest = Manifest.read(root)
    file = root / "records" / cell().path / "trial-00002.json"
    whole = file.read_bytes()
    for damage in (b"", whole[: len(whole) // 2], whole.replace(b'"ok"', b'"splendid"'), b"[]"):
        file.write_bytes(damage)
        (one,) = progress(root, manifest)
        assert (one.trials, one.best) == (2, 0.1)
    file.write_bytes(whole)
    assert progress(root, manifest)[0].best == 0.2


def test_a_record_that_cannot_be_opened_is_named(tmp_path):
    root = write_results(tmp_path / "r", [run(cell())])
    (root / "records" / cell().path / "trial-00001.json").symlink_to("nowhere")
    with pytest.raises(BadInput, match=r"trial-00001.json: cannot be read: No such file"):
        progress(root, Manifest.read(root))


def test_a_record_of_another_schema_is_refused_by_its_name(tmp_path):
    root = write_results(tmp_path / "r", [run(cell())])
    file = root / "records" / cell().path / "trial-00000.json"
    file.write_bytes(file.read_bytes().replace(b'"schema_version": 1', b'"schema_version": 7'))
    with pytest.raises(BadInput, match=r"trial-00000.json: schema version 7"):
        progress(root, Manifest.read(root))
