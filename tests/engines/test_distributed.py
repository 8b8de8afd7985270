"""The accelerate engine: two processes a trial that speak with one voice, and die together."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from demo import demo_spec

from bench.core.errors import BadInput
from bench.engines import engines
from bench.engines.distributed import Distributed, sharing
from bench.testing.engine import RecordingListener

HERE = Path(__file__).parent


class Acted(Distributed):
    runner: ClassVar[str] = "group_runner:make"


class Heard(RecordingListener):
    """Stops the second trial."""

    def validated(self, spec, step, value):
        super().validated(spec, step, value)
        assert step == 1
        return spec.number != 1


def record_of(pool, spec, artifacts):
    pool.submit(spec, artifacts)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for record in pool.poll(1.0):
            return record
    raise AssertionError("nothing came back")


def test_a_group_speaks_with_one_voice_and_its_death_costs_one_trial(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]))
    heard = Heard()
    pool = Acted(num_processes=2, log_folder=tmp_path / "logs").start(heard)
    try:
        records = [
            record_of(pool, demo_spec(number=number, init=what), tmp_path / "a")
            for number, what in enumerate(["text", "text", "dies", "is out of memory", "vocab"])
        ]
        mine = [process for process in psutil.Process().children(recursive=True) if process.is_running()]
    finally:
        pool.close()
    assert [record.status for record in records] == ["ok", "ok", "killed", "oom", "ok"]
    assert [(r.notes["ranks"], r.notes["kept"], r.notes["rank"]) for r in records if r.status == "ok"] == [
        (3, True, 0),
        (3, False, 0),
        (3, True, 0),
    ]
    assert records[3].reason == "rank 1: MemoryError: no room"
    # Once each, by rank 0: the driver never hears the others, and every process had its verdict.
    assert {number: heard.values[number] for number in (0, 1, 4)} == {0: [0.25], 1: [0.25], 4: [0.25]}
    gone, alive = psutil.wait_procs(mine, timeout=20)
    assert gone and not alive


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("distributed_type: [FSDP]\n", r"distributed_type is \['FSDP'\]"),
        ("just words\n", "distributed_type is None"),
        ("distributed_type: FSDP\nnum_machines: 2\n", "num_machines is 2"),
        ("distributed_type: {FSDP\n", "cannot be read as an accelerate configuration"),
        (None, "cannot be read as an accelerate configuration"),
        ("distributed_type: DEEPSPEED\n", "a.yaml: distributed_type is 'DEEPSPEED'; this engine shards by FSDP"),
    ],
)
def test_an_accelerate_file_that_cannot_be_used_is_said_in_one_line(tmp_path, text, said):
    file = tmp_path / "a.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        engines.build("accelerate", {"config_file": str(file)}, "x: engine")
    assert "\n" not in str(caught.value)


def test_a_file_that_can_be_used_reaches_the_launcher(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("distributed_type: FSDP\nfsdp_config: {fsdp_version: 2}\n")
    for options, told in [
        ({"config_file": str(file)}, f"--config_file {file}"),
        ({}, "--use_fsdp --fsdp_version 2"),
    ]:
        assert told in " ".join(engines.build("accelerate", options, "x: engine").command())


def test_processes_share_a_model_as_the_launcher_was_told(monkeypatch):
    made = []
    monkeypatch.setattr(
        "bench.training.distributed.DistributedRanks.__init__", lambda self, tell: made.append(type(self))
    )
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_RESHARD_AFTER_FORWARD", "false")
    sharded = sharing(lambda *_: None)
    assert (sharded._reshard, sharded._offload) == (False, False)
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    sharing(lambda *_: None)
    assert [kind.__name__ for kind in made] == ["FullySharded", "DistributedRanks"]


def test_more_gpus_than_there_are_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(BadInput, match="2 x 2 GPUs are needed, there are 3"):
        Distributed(num_processes=2, workers=2).start(Heard())
    pool = Distributed(num_processes=3).start(Heard())
    assert pool._gpus == ["0,1,2"]
