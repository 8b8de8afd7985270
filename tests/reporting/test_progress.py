"""How far a cell is: what counts as done."""

from __future__ import annotations

import pytest
from report_records import cell, run, scored_there, target, write_results

from bench.reporting import compact
from bench.reporting.progress import progress
from bench.runs.manifest import Manifest, Planned


def asked(root, of, targets):
    """The folder's progress, where finals of a cell are to be tested on these data sets too."""
    Manifest(experiment={"name": "demo"}, cells={of.path: Planned(trials=1, finals=2, targets=targets)}).write(root)
    (one,) = progress(root, Manifest.read(root))
    return one


@pytest.mark.parametrize("large", [False, True])
def test_finals_that_were_not_tested_where_they_are_now_to_be_are_not_done(tmp_path, monkeypatch, large):
    monkeypatch.setattr(compact, "LARGE", 1 if large else 10**9)
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
