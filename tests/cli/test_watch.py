"""Following a run from another terminal."""

from __future__ import annotations

import threading
import time

import pytest
from demo import demo_plan, ended

from bench.cli.watch import watch
from bench.core.errors import BadInput
from bench.runs.spec import TrialSpec
from bench.runs.store import RecordStore


def test_it_prints_a_line_whenever_a_run_has_ended_and_stops_when_all_are_done(tmp_path, capsys):
    planned = demo_plan(tmp_path / "r", study={"trials": 2}, finals={"seeds": 1})
    planned.manifest.write(tmp_path / "r")
    (cell,), store = planned.cells, RecordStore(tmp_path / "r")
    params = {"learning_rate": 0.1}
    specs = [TrialSpec(experiment="demo", cell=cell, kind="trial", number=n, seed=n, params=params) for n in (0, 1)]
    specs.append(TrialSpec(experiment="demo", cell=cell, kind="final", number=0, seed=9, params=params))
    store.write(ended(specs[0]))

    def go_on():
        for spec in specs[1:]:
            time.sleep(0.5)
            store.write(ended(spec))

    thread = threading.Thread(target=go_on)
    thread.start()
    watch(tmp_path / "r", 0.05)
    thread.join()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"{n} of 3 runs done" for n in (1, 2, 3)]
    assert "left at the pace seen here" in lines[1]


def test_a_folder_that_is_none_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no results folder"):
        watch(tmp_path / "none", 1)
