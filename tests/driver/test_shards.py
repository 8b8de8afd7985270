"""Shards: several drivers at once in one results folder, each with a share of the cells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from demo import Pretend, Warned, demo_cell, demo_plan
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.api import Selection
from bench.cli import app
from bench.core.errors import BadInput
from bench.driver.driver import Driver
from bench.driver.shards import Shard
from bench.driver.watcher import Watcher
from bench.runs.manifest import Manifest
from bench.runs.store import RecordStore

METHODS = ["prompt_tuning", "lora", "prefix_tuning", "bitfit"]
SMALL = {"study": {"trials": 1}, "finals": {"seeds": 1}}


def driver(results, shard: str | None, watcher: Watcher | None = None, engine: Pretend | None = None) -> Driver:
    planned = demo_plan(results, methods=METHODS, **SMALL)
    if shard is not None:
        planned = planned.select(Selection(shard=Shard.parse(shard)))
    engine = engine or Pretend(specs=[])
    parts = (planned.manifest, planned.cells, planned.results, engine, watcher or Watcher())
    return Driver(*parts, shard=shard is not None)


def run(results, shard: str | None) -> list[str]:
    """Return the methods that have run."""
    engine = Pretend(specs=[])
    with driver(results, shard, engine=engine) as running:
        running.run()
    return [spec.cell.method.name for spec in engine.specs]


@given(st.lists(st.floats(0, 1e12), max_size=30), st.integers(1, 9))
def test_every_cell_is_in_one_share_and_no_share_has_much_more_than_another(costs, shards):
    cell = demo_cell()
    cells = [cell.model_copy(update={"seed": index}) for index in range(len(costs))]
    with patch("bench.driver.shards.cost", lambda cell: SimpleNamespace(total=costs[cell.seed])):
        shares = [[c.seed for c in Shard(k, shards).share(cells)] for k in range(1, shards + 1)]
    assert sorted(index for share in shares for index in share) == list(range(len(costs)))
    assert all(share == sorted(share) for share in shares), "in the order of the experiment"
    loads = [sum(costs[index] for index in share) for share in shares]
    assert max(loads) <= min(loads) + max(costs, default=0) * (1 + 1e-9)


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "/8", "1/", "-1/4", "a/b", "1/2/3", "1.0/2", "1 / 2"])
def test_a_shard_that_is_none_is_said_in_one_line(text):
    with pytest.raises(BadInput) as error:
        Shard.parse(text)
    assert str(error.value) == f"--shard: expected K/N with K from 1 to N, such as 2/8, found '{text}'"


def test_shards_together_run_what_a_run_of_the_whole_does_and_another_number_goes_on(tmp_path):
    results = tmp_path / "r"
    first = run(results, "1/3")
    assert 0 < len(set(first)) < 4
    assert len(Manifest.read(results).cells) == 4, "the manifest has all cells, so that status and report see the whole"
    assert run(results, "1/3") == []
    second = [method for shard in ("1/2", "2/2") for method in run(results, shard)]
    assert Counter(first + second) == {method: 2 for method in METHODS}
    assert run(results, None) == []
    assert Counter(r.spec.cell.method.name for r in RecordStore(results)) == {method: 2 for method in METHODS}


def test_cells_that_another_driver_runs_are_left_to_it_and_named(tmp_path):
    results, warned = tmp_path / "r", Warned()
    with driver(results, "1/2") as one:
        held = {cell.path for cell in one.cells}
        with pytest.raises(BadInput, match=rf"in use by process {os.getpid()} on \S+ since 20"):
            driver(results, "1/2")
        with driver(results, "1/1", warned) as rest:
            assert {cell.path for cell in rest.cells} | held == set(rest._manifest.cells)
            assert not {cell.path for cell in rest.cells} & held
    assert len(warned.said) == len(held)
    assert all(f": process {os.getpid()} on " in said and "it is left to that one" in said for said in warned.said)
    with driver(results, "1/1", warned) as free:
        assert len(free.cells) == 4


def test_a_shard_leaves_the_database_to_a_run_of_the_whole(tmp_path):
    run(tmp_path / "r", "1/1")
    assert not (tmp_path / "r" / "study.db").exists()
    run(tmp_path / "r", None)
    assert (tmp_path / "r" / "study.db").exists()


HOLD = """
import sys, time
from pathlib import Path
from test_shards import driver
running = driver(Path(sys.argv[1]), *sys.argv[2:] or [None])
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def held(*arguments):
    """Have a driver in another process, and kill it in the end; its process id is given."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", HOLD, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            yield holder.pid
        finally:
            holder.send_signal(signal.SIGKILL)


def test_the_cells_of_a_shard_that_was_killed_are_free_at_once(tmp_path):
    with held(tmp_path / "r", "1/2") as pid, driver(tmp_path / "r", None, warned := Warned()) as rest:
        assert 0 < len(rest.cells) < 4
        assert f": process {pid} on " in warned.said[0]
    with driver(tmp_path / "r", None) as whole:
        assert len(whole.cells) == 4


def test_a_folder_in_use_names_the_holder_and_is_free_once_the_holder_is_dead(tmp_path):
    with (
        held(tmp_path / "r") as pid,
        pytest.raises(BadInput, match=rf"in use by process {pid} on \S+ since 20"),
    ):
        driver(tmp_path / "r", None)
    assert len(run(tmp_path / "r", None)) == 8


def test_logs_of_shards_lie_apart_and_the_plan_of_one_has_its_cells_alone(tmp_path):
    planned = demo_plan(tmp_path / "r", methods=METHODS)
    shares = [planned.select(Selection(shard=Shard(k, 2))) for k in (1, 2)]
    assert sorted(c.path for share in shares for c in share.cells) == sorted(c.path for c in planned.cells)
    assert [share.engine.log_folder for share in shares] == [
        tmp_path / "r" / "logs" / f"shard-{k}-of-2" for k in (1, 2)
    ]


FILE = """
name: shards
models: [glasslm-0.9m]
datasets: [{local: {path: toy.csv, label: toy, template: '{text}'}}]
methods: [majority, {majority: {label: again}}]
finals: {seeds: 1}
engine: inline
"""


def test_on_the_command_line_shards_leave_the_report_to_the_end_and_status_shows_the_whole(tmp_path, monkeypatch):
    from plugin import write_table

    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "toy.csv")
    (tmp_path / "x.yaml").write_text(FILE)

    def bench(*arguments):
        return CliRunner().invoke(app, arguments)

    def finals_done():
        return [line.count("1 of 1") for line in bench("status", "results/shards").output.splitlines() if "toy" in line]

    refused = bench("run", "x.yaml", "--shard", "9/8")
    assert isinstance(refused.exception, BadInput)
    one = bench("run", "x.yaml", "--shard", "1/2")
    assert one.exit_code == 0, one.output
    assert "shard 1/2 is done; when all are: bench report results/shards" in one.output
    assert not (tmp_path / "reports").exists()
    assert finals_done() == [1, 0]
    assert bench("run", "x.yaml", "--shard", "2/2").exit_code == 0
    more = bench("run", "x.yaml", "--shard", "3/3")
    assert (more.exit_code, "more shards than cells" in more.output) == (0, True)
    assert finals_done() == [1, 1]
    assert bench("report", "results/shards").exit_code == 0
