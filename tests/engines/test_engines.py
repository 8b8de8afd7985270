"""Engines with trials that train; what holds for each engine whatever it runs is in test_engine_contract.py."""

from __future__ import annotations

import io
import os
import platform
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from demo import EXPERIMENT, demo_cell, demo_spec
from numerics import GRADIENT, assert_close
from plugin import SHIFT, write_acting, write_plugin, write_table, write_tiny_model

from bench.api import plan
from bench.core.entries import Entry
from bench.core.errors import BadInput
from bench.engines import engines
from bench.engines.processes import Processes, ProcessWorker, visible_gpus
from bench.engines.running import ENVIRONMENT
from bench.runs.record import TrialRecord
from bench.testing.engine import RecordingListener
from bench.testing.scripted import scripted_spec


class Acting(Processes):
    runner = "bench.testing.scripted:scripted_runner"


class Heard(RecordingListener):
    """Notes what it hears, and prunes a trial that has come to step ``limit``."""

    def __init__(self, limit: int = 99) -> None:
        super().__init__()
        self.limit = limit


STUCK = SHIFT.replace("return super().logits(batch) + self.bias", "__import__('time').sleep(1e6)")
"""A method that never comes back from a step, as if it waited for another process."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data, a tiny model, and an outside package that workers find."""
    home = tmp_path_factory.mktemp("home")
    write_table(home / "toy.csv")
    write_tiny_model(home / "model")
    write_acting(home / "site")
    write_plugin(home / "site", {"bench.methods": {"stuck": "sticking:Shift"}}, "stuck-methods", sticking=STUCK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(home / "site"))
        yield home


def cell_of(home: Path, method: str = "majority", **changes):
    return demo_cell(
        models=[{"local": {"path": str(home / "model"), "label": "tiny"}}],
        datasets=[{"local": {"path": str(home / "toy.csv"), "template": "{text}\n"}}],
        methods=[method],
        training={"max_steps": 6, "eval_steps": 2, "batch_size": 4},
        **changes,
    )


def act(home: Path, do: str = "nothing", number: int = 0):
    """A spec for the method of the outside package, which only workers need to know."""
    cell = cell_of(home).model_copy(
        update={"method": Entry(name="act", label="act", options={"do": do, "sign": str(home / "sign")})}
    )
    return demo_spec(cell, number)


def prompt_spec(home: Path, threads: int):
    cell = cell_of(home, "prompt_tuning", runtime={"threads": threads})
    return demo_spec(cell, 0, "final", num_virtual_tokens=4, learning_rate=0.1)


@pytest.fixture(scope="module")
def pool(home):
    """Two workers for all tests of this file: each takes seconds to start."""
    pool = engines.build("processes", {"workers": 2, "log_folder": home / "logs"}, "x").start(Heard())
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def inline():
    """The engine without workers."""
    pool = engines.build("inline", {}, "x").start(Heard())
    yield pool
    pool.close()


@pytest.fixture(params=["inline", "processes"])
def either(request, pool, inline):
    return {"inline": inline, "processes": pool}[request.param]


def wait(pool, number: int = 1, seconds: float = 90) -> list[TrialRecord]:
    deadline = time.monotonic() + seconds
    records: list[TrialRecord] = []
    while len(records) < number and time.monotonic() < deadline:
        records += pool.poll(0.5)
    return records


def pids(pool) -> list[int]:
    return [worker._process.pid for worker in pool._workers if worker is not None]


def test_a_worker_that_is_killed_loses_its_trial_alone_and_is_replaced(pool, home):
    dies, lives = act(home, "die", number=1), act(home, number=2)
    for spec in (dies, lives):
        pool.submit(spec, home / "artifacts")
    assert pool.free() == 0
    scratch = [Path(worker._scratch.name) for worker in pool._workers]

    ended = {record.spec.number: record for record in wait(pool, 2)}

    assert ended[2].status == "ok"
    assert ended[1].status == "killed"
    assert ended[1].reason.startswith("the worker process ended with signal SIGKILL (did the machine run out of")
    assert pool.free() == 2
    assert [folder.exists() for folder in scratch].count(True) == 1, "what the dead one had on disk is gone"
    pool.submit(dies, home / "artifacts")
    assert [record.status for record in wait(pool)] == ["ok"], "the second time it lives"


def test_a_worker_that_dies_without_its_log_is_told_all_the_same(home, tmp_path):
    pool = Acting(workers=1, log_folder=tmp_path / "logs").start(Heard())
    try:
        pool.submit(scripted_spec(tmp_path, 0, "wait"), home / "artifacts")
        (log,) = (tmp_path / "logs").iterdir()
        log.unlink()
        os.kill(pids(pool)[0], signal.SIGKILL)
        (record,) = wait(pool)
        assert (record.status, "SIGKILL" in record.reason) == ("killed", True)
    finally:
        pool.close()


def test_closing_leaves_no_file_behind(home, tmp_path):
    pool = Acting(workers=2).start(Heard())
    pool.submit(scripted_spec(tmp_path, 0, "wait"), home / "artifacts")
    scratch = [Path(worker._scratch.name) for worker in pool._workers if worker is not None]
    assert scratch and all(folder.exists() for folder in scratch)
    pool.close()
    assert not any(folder.exists() for folder in scratch)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_the_users_to_mend(either, home):
    either.submit(demo_spec(cell_of(home, runtime={"device": "cuda"})), home / "artifacts")
    with pytest.raises(BadInput, match=r"runtime\.device: no cuda device on this machine; there is: cpu"):
        wait(either)


def test_inline_and_processes_give_the_same_record(pool, inline, home):
    # To the last bit on one machine with equally many threads: a sum over two threads rounds otherwise than over one,
    # and left to themselves inline takes all cores, a worker its share.
    spec = prompt_spec(home, threads=1)
    found = []
    for name, engine in (("inline", inline), ("processes", pool)):
        engine._listener = heard = Heard()
        engine.submit(spec, home / name)
        (record,) = wait(engine)
        assert record.status == "ok", record.reason
        assert record.notes["pad_token"] == "the tokenizer has none; '</s>' is used"
        kept = {path.name: path.read_bytes() for path in (home / name).glob("*.safetensors")}
        assert kept
        what = record.model_dump(
            include={"objective", "best_step", "train_curve", "validation_curve", "test", "predictions", "notes"}
        )
        found.append((what, heard.values, kept))
    assert found[0] == found[1]


def test_another_number_of_threads_changes_no_more_than_rounding(inline, home):
    found = []
    for threads in (1, 2, 4):
        inline.submit(prompt_spec(home, threads), home / str(threads))
        (record,) = wait(inline)
        assert record.provenance.threads == threads
        found.append(record)
    for record in found[1:]:
        for one, other in zip(found[0].train_curve, record.train_curve, strict=True):
            assert_close(other.loss, one.loss)
            assert_close(other.grad_norm, one.grad_norm, GRADIENT)
        assert_close(record.test.loss, found[0].test.loss)
        assert record.predictions.predictions == found[0].predictions.predictions


def test_a_trial_that_the_study_gives_up_ends_as_pruned_with_what_it_had(either, home):
    either._listener = heard = Heard(limit=4)
    either.submit(demo_spec(cell_of(home, "prompt_tuning"), num_virtual_tokens=4), home / "artifacts")
    (record,) = wait(either)
    assert record.status == "pruned"
    assert [e.step for e in record.validation_curve] == [2, 4]
    assert [e.metrics["accuracy"] for e in record.validation_curve] == heard.values[0]


def test_a_method_that_sleeps_for_ever_in_a_step_is_found_although_its_process_lives(pool, home):
    cell = cell_of(home, "prompt_tuning", runtime={"hang_timeout": 2.0})
    spec = demo_spec(cell.model_copy(update={"method": Entry(name="stuck", label="stuck", options={})}))
    pool.submit(spec, home / "artifacts")
    (record,) = wait(pool)
    assert record.status == "killed", record.reason
    assert record.reason == "it hung: no step and no batch for 2 s (runtime.hang_timeout)"


LATE = """
import sys, time
time.sleep(2)
from bench.engines import worker
from bench.core.registry import load_target
worker.serve(sys.argv[1], load_target(sys.argv[2]))
"""


def test_a_worker_that_is_slow_to_start_is_no_hung_worker_nor_is_its_start_the_trials_time(tmp_path, monkeypatch):
    (tmp_path / "late_worker.py").write_text(LATE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(Acting, "module", "late_worker")
    pool = Acting().start(Heard())
    try:
        pool.submit(scripted_spec(tmp_path, 1, hang_timeout=1.0, trial_timeout=1.0), tmp_path)
        assert [record.status for record in wait(pool)] == ["ok"]
    finally:
        pool.close()


def test_a_worker_does_not_outlive_a_driver_that_is_cut_short_in_a_line(tmp_path):
    command = [sys.executable, "-m", "bench.engines.worker", str(tmp_path), Acting.runner]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.communicate('{"run": {"exp', timeout=60)
    assert process.returncode == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_memory_that_a_step_has_freed_is_not_mapped_anew_by_the_next():
    code = (
        "import resource, torch\n"
        "def step():\n    for _ in range(20): torch.ones(1_000_000)\n"
        "step()\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(10): step()\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=True
    )
    pages = 10 * 20 * 4_000_000 // os.sysconf("SC_PAGE_SIZE")
    assert int(done.stdout) < pages / 10


@pytest.mark.parametrize(
    "said",
    ['{"progress": [1, 2, 0.5]}\n{"rec', '[2026-11-22] [WARNING] no GPU\n\n7\n{"progress": [1, 2, 0.5]}\n'],
    ids=["half a line of a dying worker", "what a launcher prints"],
)
def test_what_is_no_message_is_passed_over(said):
    worker = object.__new__(ProcessWorker)
    worker._process = SimpleNamespace(stdout=io.StringIO(said))
    events: queue.SimpleQueue = queue.SimpleQueue()
    worker._listen(events)
    assert [events.get_nowait()[1] for _ in range(2)] == [{"progress": [1, 2, 0.5]}, None]


def test_a_worker_that_cannot_start_says_its_last_words(home, monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('libcuda is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pool = engines.build("processes", {"log_folder": tmp_path / "logs"}, "x").start(Heard())
    try:
        pool.submit(act(home), home / "artifacts")
        (record,) = wait(pool)
    finally:
        pool.close()
    assert record.status == "killed"
    assert record.reason.endswith("exit code 1; last line of its log: ImportError: libcuda is broken")


def test_a_worker_that_dies_while_it_is_idle_is_replaced_before_the_next_trial(pool, home):
    pool.submit(act(home, number=7), home / "artifacts")
    assert [record.status for record in wait(pool)] == ["ok"]
    for pid in pids(pool):
        os.kill(pid, signal.SIGKILL)
    assert pool.poll(1.0) == []
    assert pids(pool) == []
    pool.submit(act(home, number=8), home / "artifacts")
    assert [record.status for record in wait(pool)] == ["ok"]


def test_each_worker_sees_one_gpu_of_those_that_the_user_allows(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5,-1")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert visible_gpus() == ["0", "1"]
    pool = engines.build("processes", {"workers": 3}, "x").start(Heard())
    assert [pool._gpus[index % 2] for index in range(3)] == ["0", "1", "0"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert visible_gpus() == []


def test_the_inline_engine_runs_one_at_a_time():
    with pytest.raises(BadInput, match=r"x\.workers: the inline engine runs one trial at a time, found 2"):
        engines.build("inline", {"workers": 2}, "x")


def test_options_of_a_call_go_over_those_of_the_file():
    file = {**EXPERIMENT, "engine": "ray", "engine_options": {"address": "auto", "cpus": 2}}
    engine = plan(file, engine_options={"address": "head:6379"}).engine
    assert (engine.address, engine.cpus) == ("head:6379", 2)
    engine = plan(EXPERIMENT, engine="ray", engine_options={"address": "head:6379"}).engine
    assert (engine.address, engine.cpus) == ("head:6379", 1)


def test_options_set_beside_another_engine_are_that_engines_and_not_dropped():
    file = {**EXPERIMENT, "engine": "ray", "engine_options": {"address": "auto"}}
    engine = plan(file, engine="accelerate", changes=["engine_options.num_processes=3", "study.trials=2"]).engine
    assert engine.num_processes == 3
    with pytest.raises(BadInput, match="adress"):
        plan(EXPERIMENT, engine="ray", changes=["engine_options.adress=auto"])


def test_workers_share_the_cores(home):
    pool = engines.build("processes", {"workers": 64}, "x").start(Heard())
    assert pool._threads == 1
    assert os.environ["OMP_NUM_THREADS"] == "1"
