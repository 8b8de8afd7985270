"""The slurm engine: jobs of submitit's local executor, and what a real Slurm would be asked for."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("submitit", reason="pip install 'promptscale[slurm]'")

from bench.core.errors import BadInput, Unavailable
from bench.engines import engines
from bench.engines.mailbox import write_json
from bench.engines.slurm import Slurm
from bench.testing import EngineContract
from bench.testing.engine import RecordingListener
from bench.testing.scripted import executions, scripted_spec


class Acting(Slurm):
    runner = "bench.testing.scripted:scripted_runner"


class TestSlurm(EngineContract):
    engine = Slurm
    options = {"cluster": "local"}


def start(folder: Path, heard=None, **options):
    return Acting(cluster="local", log_folder=folder / "logs", **options).start(heard or RecordingListener())


def until(condition, pool=None, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        records = pool.poll(0.1) if pool else time.sleep(0.05)
        assert not records, records


def wait(pool, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if records := pool.poll(0.2):
            return records
    raise AssertionError("no record")


def leave(pool):
    """Do what SIGKILL does to the driver of a pool: it gives no further sign of life, and ends nothing."""
    pool._closed.set()
    pool._heart.join()


def test_what_jobs_of_a_dead_driver_have_finished_is_found_and_the_rest_is_ended(tmp_path):
    heard = RecordingListener()
    first = start(tmp_path, heard, workers=2)
    done, running = scripted_spec(tmp_path, 1, "pause", "final", seconds=1), scripted_spec(tmp_path, 2, "wait")
    first.submit(running, tmp_path / "kept")
    until(lambda: executions(tmp_path, running), first)
    first.submit(done, tmp_path / "kept")
    until(lambda: heard.values[1] == [1.1], first)
    finished = tmp_path / "logs/slurm/finished" / f"{done.hash}.json"
    (worker,) = [worker for worker in first._hired() if worker.spec == done]
    worker.answer(True)  # its second validation; its end is not heard any more
    until(finished.exists)
    leave(first)

    heard = RecordingListener()
    second = start(tmp_path, heard)
    try:
        until(lambda: not any(map(psutil.pid_exists, executions(tmp_path, running)[0])))
        assert [path.name for path in (tmp_path / "logs/slurm/sessions").iterdir()] == [second._session.name]
        relabelled = done.model_copy(update={"experiment": "renamed"})
        second.submit(relabelled, tmp_path / "kept")
        assert second.free() == 0
        (record,) = second.poll(0)
        assert (record.status, record.spec) == ("ok", relabelled)
        assert heard.values[1] == [1.1, 1.2, 1.3], "the study hears what it would have heard"
        assert len(executions(tmp_path, done)) == 1
        assert finished.exists(), "until the record is written"
        assert (second.poll(0), finished.exists()) == ([], False)
    finally:
        second.close()
        first.close()


def test_a_job_that_is_queued_again_loses_its_trial_and_goes_on(tmp_path):
    pool = start(tmp_path)
    try:
        spec = scripted_spec(tmp_path, 1, "wait")
        pool.submit(spec, tmp_path)
        until(lambda: executions(tmp_path, spec), pool)
        (worker,) = pool._hired()
        os.kill(executions(tmp_path, spec)[0][0], signal.SIGUSR2)  # as Slurm does: --signal=USR2@90
        (record,) = wait(pool)
        assert record.status == "killed"
        assert record.reason.startswith(f"Slurm stopped job {worker.job.job_id} (preemption")
        pool.submit(scripted_spec(tmp_path, 2), tmp_path)
        assert [record.status for record in wait(pool)] == ["ok"]
        assert (pool._hired(), worker.lives) == ([worker], 2), "the same job, in its second life"
        until(lambda: not any(map(psutil.pid_exists, executions(tmp_path, spec)[0])))
    finally:
        pool.close()


def test_what_a_dead_worker_has_left_on_this_machine_is_ended_as_slurm_would(tmp_path):
    pool = start(tmp_path)
    try:
        spec = scripted_spec(tmp_path, 1, "wait")
        pool.submit(spec, tmp_path)
        until(lambda: executions(tmp_path, spec), pool)
        worker, child = executions(tmp_path, spec)[0]
        os.kill(worker, signal.SIGKILL)
        assert [record.status for record in wait(pool)] == ["killed"]
        until(lambda: not psutil.pid_exists(child), seconds=5)
    finally:
        pool.close()


def test_ctrl_c_is_heard_by_the_driver_alone(tmp_path, capfd):
    pool = start(tmp_path)
    try:
        spec = scripted_spec(tmp_path, 1, "pause", seconds=2)
        pool.submit(spec, tmp_path)
        until(lambda: executions(tmp_path, spec), pool)
        (worker,) = pool._hired()
        job = psutil.Process(int(worker.job.job_id))
        for process in (job, *job.children(recursive=True)):
            process.send_signal(signal.SIGINT)  # as from the terminal, whose foreground all of them are
        assert [record.status for record in wait(pool)] == ["ok"]
    finally:
        pool.close()
    assert "Traceback" not in capfd.readouterr().err
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "the driver hears it"


def test_jobs_end_by_themselves_without_a_driver_or_without_work(tmp_path):
    pool = start(tmp_path, driver_timeout=3, idle_timeout=0.5)
    try:
        pool.submit(scripted_spec(tmp_path, 1), tmp_path)
        assert [record.status for record in wait(pool)] == ["ok"]
        until(lambda: not pool._hired(), pool)  # nothing to do
        spec = scripted_spec(tmp_path, 2, "wait")
        pool.submit(spec, tmp_path)
        until(lambda: executions(tmp_path, spec), pool)
        (worker,) = pool._hired()
        leave(pool)
        until(lambda: not any(map(psutil.pid_exists, executions(tmp_path, spec)[0])))
        until(lambda: "no sign of its driver for 3 s" in worker.obituary())
    finally:
        pool.close()


def test_a_job_that_cannot_begin_is_a_dead_worker_and_not_tried_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(Acting, "runner", "bench.nowhere:make")
    pool = start(tmp_path)
    try:
        pool.submit(scripted_spec(tmp_path, 1), tmp_path)
        (record,) = wait(pool)
        assert record.status == "killed"
        assert record.reason.endswith("its last words: ModuleNotFoundError: No module named 'bench.nowhere'")
        assert pool.free() == 1
    finally:
        pool.close()
    assert not list((tmp_path / "logs").rglob("*.pkl")), "what submitit has pickled is gone, the logs are not"
    assert list((tmp_path / "logs").rglob("*_log.err"))


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands by the names of Slurm's, which note what they are asked for."""
    commands = tmp_path / "commands"
    commands.mkdir()
    scripts = {
        "sbatch": f'cat "$1" >> {tmp_path}/asked; echo "Submitted batch job 42"',
        "srun": "exit 1",
        "squeue": "",
        "scancel": f'echo "scancel $*" >> {tmp_path}/asked',
    }
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    monkeypatch.setattr("bench.engines.slurm_pool.STOP_SECONDS", 0.1)
    return tmp_path / "asked"


def test_slurm_is_asked_for_an_array_of_jobs_with_what_the_experiment_names(slurm, tmp_path):
    options = {
        "workers": 3,
        "partition": "gpu",
        "account": "lab",
        "gpus_per_node": 1,
        "cpus_per_task": 8,
        "mem_gb": 24,
        "parameters": {"constraint": "a100", "setup": ["module load cuda"], "additional_parameters": {"nice": 10}},
    }
    pool = Slurm.parse({**options, "log_folder": tmp_path / "logs"}, "x").start(RecordingListener())
    for number in range(3):
        pool.submit(scripted_spec(tmp_path, number, trial_timeout=7200.0), tmp_path)
    assert pool.poll(0) == []
    pool.close()
    asked = slurm.read_text()
    flags = {line.removeprefix("#SBATCH --") for line in asked.splitlines() if line.startswith("#SBATCH")}
    assert flags >= {
        *("partition=gpu", "account=lab", "gpus-per-node=1", "cpus-per-task=8", "mem=24GB", "constraint=a100"),
        *("nice=10", "time=132", "array=0-2%3", "job-name=bench"),
    }
    assert "\nmodule load cuda\n" in asked
    assert 'export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"' in asked
    assert [line for line in asked.splitlines() if line.startswith("scancel")] == [f"scancel 42_{n}" for n in range(3)]


def test_jobs_of_a_dead_driver_are_cancelled_by_the_next(slurm, tmp_path):
    engine = Slurm(log_folder=tmp_path / "logs")
    first = engine.start(RecordingListener())
    first.submit(scripted_spec(tmp_path, 1), tmp_path)
    first.poll(0)
    leave(first)
    assert "scancel" not in slurm.read_text()
    engine.start(RecordingListener()).close()
    assert slurm.read_text().splitlines()[-1] == "scancel 42"


def test_a_job_that_cannot_speak_for_itself_is_asked_after(slurm, tmp_path, monkeypatch):
    for name in ("SILENCE_SECONDS", "QUEUE_SECONDS", "GRACE_SECONDS"):
        monkeypatch.setattr(f"bench.engines.slurm_pool.{name}", -1)
    squeue = tmp_path / "commands" / "squeue"
    squeue.write_text("#!/bin/sh\necho '41 R'; echo '42 R'\n")
    pool = Slurm(log_folder=tmp_path / "logs").start(RecordingListener())
    spec = scripted_spec(tmp_path, 1)
    pool.submit(spec, tmp_path)
    assert pool.poll(0) == []
    (worker,) = pool._hired()
    write_json(worker._box / "life-0" / "beat", {"beat": 1, "left": 900.0, "trial": 0, "progress": None})
    assert pool.poll(0.3) == []
    assert worker.spec == spec
    squeue.write_text("#!/bin/sh\necho '42 PD'\n")  # its node has failed, say
    assert "it is queued again" in wait(pool)[0].reason
    pool.submit(spec, tmp_path)
    assert pool.poll(0) == []
    assert pool.free() == 0
    squeue.write_text("#!/bin/sh\n")
    sbatch = tmp_path / "commands" / "sbatch"
    sbatch.write_text(sbatch.read_text().replace("42", "43"))
    (record,) = wait(pool)  # 42 comes to nothing, and then the one that takes its place
    assert (record.status, record.reason) == ("killed", "Slurm job 43 ended")
    pool.close()


def test_what_slurm_refuses_is_said(slurm, tmp_path, capsys):
    sbatch = tmp_path / "commands" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpus' >&2; exit 1\n")
    pool = Slurm(partition="gpus", log_folder=tmp_path / "logs").start(RecordingListener())
    pool.submit(scripted_spec(tmp_path, 1), tmp_path)
    with pytest.raises(BadInput, match="Slurm refuses the jobs: sbatch: error: invalid partition specified: gpus"):
        pool.poll(0)
    pool.close()


def test_a_slurm_that_refuses_jobs_for_a_while_is_asked_again(slurm, tmp_path, monkeypatch):
    sbatch = tmp_path / "commands" / "sbatch"
    takes, refuses = sbatch.read_text(), "#!/bin/sh\necho 'sbatch: error: Socket timed out' >&2; exit 1\n"
    pool = Slurm(workers=2, log_folder=tmp_path / "logs").start(RecordingListener())
    pool.submit(scripted_spec(tmp_path, 1), tmp_path)
    assert pool.poll(0) == []
    monkeypatch.setattr("bench.engines.slurm_pool.QUEUE_SECONDS", 0.0)
    sbatch.write_text(refuses)
    pool.submit(scripted_spec(tmp_path, 2), tmp_path)
    assert pool.poll(0) == []
    assert len(pool._hired()) == 1
    sbatch.write_text(takes)
    assert pool.poll(0) == []
    assert len(pool._hired()) == 2
    sbatch.write_text(refuses)
    monkeypatch.setattr("bench.engines.slurm_pool.REFUSED_SECONDS", 0.0)
    pool._workers[0] = None
    with pytest.raises(BadInput, match="Socket timed out"):
        pool.submit(scripted_spec(tmp_path, 3), tmp_path)
        pool.poll(0)
    pool.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": {"contraint": "a100"}}, "unknown parameter 'contraint'; did you mean 'constraint'?"),
        ({"parameters": {"nodes": 2}}, "unknown parameter 'nodes'"),
        ({"parameters": {"setup": "module load cuda"}}, "setup: expected a list of shell commands"),
        ({"log_folder": None}, "needs a folder that all nodes see"),
        ({"log_folder": Path("100%")}, "with a % in its name"),
        ({"timeout_min": 0}, "greater than 0"),
    ],
)
def test_a_wrong_option_is_named(options, message, tmp_path):
    with pytest.raises(BadInput) as raised:
        engines.build("slurm", {"cluster": "local", "log_folder": tmp_path, **options}, "x").start(RecordingListener())
    assert message in str(raised.value)


def test_jobs_shorter_than_a_trial_may_take_are_refused(tmp_path):
    pool = start(tmp_path, timeout_min=30)
    pool.submit(scripted_spec(tmp_path, 1, trial_timeout=1800.0), tmp_path)
    with pytest.raises(BadInput, match=r"timeout_min: 30 min; a trial that may take 1800 s .* needs jobs of 32 min"):
        pool.poll(0)
    pool.close()


def test_a_machine_without_slurm_is_told_apart_from_one_without_submitit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="no Slurm here: srun is not found"):
        Slurm(log_folder=tmp_path).start(RecordingListener())
    monkeypatch.setitem(__import__("sys").modules, "submitit", None)
    with pytest.raises(Unavailable, match=r"pip install 'promptscale\[slurm\]'"):
        Slurm(log_folder=tmp_path).start(RecordingListener())
