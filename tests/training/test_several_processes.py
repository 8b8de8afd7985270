"""Several processes together are one process: the same losses, gradients, scores and trained weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from distributed_runs import CASES, run
from numerics import assert_close
from safetensors.torch import load_file

from bench.training.ranks import Ranks

WAYS = ["whole", "fsdp"]
NAMES = [f"{family} {name}" for family, name in CASES]


@pytest.fixture(scope="module", params=WAYS)
def together(request, tmp_path_factory):
    """What two processes on gloo have found, and where they saved."""
    folder = tmp_path_factory.mktemp("together")
    here = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(here.parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, str(here / "distributed_runs.py"), str(folder)]
    running = [
        subprocess.Popen([*command, str(rank), "2", request.param], stderr=subprocess.PIPE, text=True, env=environment)
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=300)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], said
    return folder, [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    torch.set_num_threads(1)  # as in each of the two
    folder = tmp_path_factory.mktemp("alone")
    return folder, {f"{family} {name}": run(Ranks(), family, name, folder) for family, name in CASES}


@pytest.mark.parametrize("case", NAMES)
def test_two_processes_see_what_one_sees(together, alone, case):
    one, two = alone[1][case], together[1][0][case]
    assert two["tokens"] == one["tokens"]
    for step in range(3):
        assert_close(two["loss"][step], one["loss"][step], what=f"loss of step {step}")
        assert_close(two["norm"][step], one["norm"][step], what=f"gradient norm of step {step}")
    for ours, theirs in zip(two["passes"], one["passes"], strict=True):
        assert (ours["tokens"], ours["answers"]) == (theirs["tokens"], theirs["answers"])
        assert_close(ours["loss"], theirs["loss"])
        assert_close(ours["scores"], theirs["scores"])
    assert two["generated"] == one["generated"]
    assert_close(two["few"], one["few"])  # fewer examples than processes
    assert two["with_gradient"] == one["with_gradient"]


@pytest.mark.parametrize("case", NAMES)
def test_all_processes_agree_to_the_last_bit(together, case):
    first, second = (found[case] for found in together[1])
    for what in ("loss", "norm", "passes"):
        assert first[what] == second[what], what


@pytest.mark.parametrize("case", CASES)
def test_what_rank_0_saves_is_what_one_process_saves(together, alone, case):
    name = "-".join(case)
    ours, theirs = together[0] / f"{name}-2", alone[0] / f"{name}-1"
    assert sorted(file.name for file in ours.iterdir()) == sorted(file.name for file in theirs.iterdir())
    (weights,) = [file.name for file in theirs.glob("*.safetensors")]
    one, two = load_file(theirs / weights), load_file(ours / weights)
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        # What began with zeros is three steps of Adam, each a thousandth and as exact as the gradients that it divides.
        assert_close(two[key], tensor, rounding=1e-6, what=key)


@pytest.mark.parametrize("case", NAMES)
def test_the_work_is_divided_and_the_base_model_where_it_was_asked_for(together, alone, case):
    rows = alone[1][case]["rows"]
    for found in together[1]:
        assert (found[case]["sharded"] > 0) == (found[case]["way"] == "fsdp")
        assert 0.4 * rows < found[case]["rows"] < 0.7 * rows
