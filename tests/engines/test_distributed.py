"""The accelerate engine: two processes a trial that speak with one voice, and die together."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from demo import demo_spec
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BadInput, Unavailable
from bench.engines import engines
from bench.engines.distributed import Distributed
from bench.engines.sharing import check_deepspeed_file, sharing

HERE = Path(__file__).parent


class Acted(Distributed):
    runner: ClassVar[str] = "group_runner:make"


class Heard:
    """Hears progress and validations, and stops the second trial."""

    def __init__(self):
        self.progressed, self.scores = [], []

    def progress(self, spec, step, steps, loss):
        self.progressed.append((spec.number, step, steps, loss))

    def validated(self, spec, step, value):
        self.scores.append((spec.number, step, value))
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
    assert [number for number, *_ in heard.scores] == [0, 1, 4] or heard.scores[2][0] in (2, 3)
    assert heard.scores[0] == (0, 1, 0.25)
    gone, alive = psutil.wait_procs(mine, timeout=20)
    assert gone and not alive


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("distributed_type: MEGATRON_LM\n", r"a.yaml: distributed_type is 'MEGATRON_LM'"),
        ("distributed_type: [FSDP]\n", r"distributed_type is \['FSDP'\]"),
        ("just words\n", "distributed_type is None"),
        ("distributed_type: FSDP\nnum_machines: 2\n", "num_machines is 2"),
        ("distributed_type: {FSDP\n", "cannot be read as an accelerate configuration"),
        (None, "cannot be read as an accelerate configuration"),
        (
            "distributed_type: DEEPSPEED\ndeepspeed_config: {deepspeed_config_file: /not/there.json}\n",
            "/not/there.json cannot be read as a DeepSpeed configuration",
        ),
    ],
)
def test_an_accelerate_file_that_cannot_be_used_is_said_in_one_line(tmp_path, text, said):
    file = tmp_path / "a.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        engines.build("accelerate", {"config_file": str(file)}, "x: engine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "z.json cannot be read as a DeepSpeed configuration"),
        ("{", "cannot be read as a DeepSpeed configuration"),
        ("[" * 100_000, "cannot be read as a DeepSpeed configuration"),
        ("[]", "zero_optimization.stage is None; 1, 2 or 3"),
        ('{"zero_optimization": {"stage": 0}}', "zero_optimization.stage is 0"),
        ('{"zero_optimization": {"stage": 3}, "optimizer": {"type": "Adam"}}', "optimizer: training.optimizer and"),
        ('{"zero_optimization": {"stage": 3}, "train_batch_size": 8}', "train_batch_size: training.batch_size of"),
        ('{"zero_optimization": {"stage": 3}, "fp16": {"enabled": true}}', "fp16: runtime.precision of the experiment"),
    ],
)
def test_a_deepspeed_file_that_cannot_be_used_is_said_in_one_line(tmp_path, text, said):
    file = tmp_path / "z.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        engines.build("accelerate", {"deepspeed_config": str(file)}, "x: engine")
    assert "\n" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["auto", 3, "stage"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["zero_optimization", "stage", "bf16", "enabled", "optimizer", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_stands_in_a_deepspeed_file_is_taken_or_refused(told):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "z.json")
        file.write_text(json.dumps(told))
        try:
            check_deepspeed_file(file)
        except ValueError as error:
            assert str(error).startswith(str(file))
        else:
            assert told["zero_optimization"]["stage"] in (1, 2, 3)
            assert "optimizer" not in told or told["optimizer"] == "auto"


def test_a_file_that_can_be_used_reaches_the_launcher(tmp_path):
    plain, zero, naming = tmp_path / "a.yaml", tmp_path / "z.json", tmp_path / "n.yaml"
    plain.write_text("distributed_type: FSDP\nfsdp_config: {fsdp_version: 2}\n")
    zero.write_text('{"zero_optimization": {"stage": 2}, "train_batch_size": "auto", "bf16": {"enabled": "auto"}}')
    naming.write_text(f"distributed_type: DEEPSPEED\ndeepspeed_config: {{deepspeed_config_file: {zero}}}\n")
    for options, told in [
        ({"config_file": str(plain)}, f"--config_file {plain}"),
        ({"config_file": str(naming)}, f"--config_file {naming}"),
        ({"deepspeed_config": str(zero)}, f"--use_deepspeed --deepspeed_config_file {zero}"),
        ({}, "--use_fsdp --fsdp_version 2"),
    ]:
        assert told in " ".join(engines.build("accelerate", options, "x: engine").command())
    with pytest.raises(BadInput, match="config_file and deepspeed_config: one of them"):
        engines.build("accelerate", {"config_file": str(plain), "deepspeed_config": str(zero)}, "x: engine")


def test_deepspeed_that_is_not_installed_is_named(tmp_path, monkeypatch):
    file = tmp_path / "z.json"
    file.write_text('{"zero_optimization": {"stage": 3}}')
    monkeypatch.setattr("bench.engines.distributed.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"pip install 'promptscale\[deepspeed\]'"):
        Distributed(deepspeed_config=file).start(Heard())


def test_processes_share_a_model_as_the_launcher_was_told(monkeypatch):
    made = []
    monkeypatch.setattr("bench.training.distributed.Together.__init__", lambda self, tell: made.append(type(self)))
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_RESHARD_AFTER_FORWARD", "false")
    sharded = sharing(lambda *_: None)
    assert (sharded._reshard, sharded._offload) == (False, False)
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    sharing(lambda *_: None)
    assert [kind.__name__ for kind in made] == ["FullySharded", "Together"]


def test_more_gpus_than_there_are_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(BadInput, match="2 x 2 GPUs are needed, there are 3"):
        Distributed(num_processes=2, workers=2).start(Heard())
    pool = Distributed(num_processes=3).start(Heard())
    assert pool._gpus == ["0,1,2"]
