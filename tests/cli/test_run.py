"""`bench run` as a user meets it: in a terminal's process, with Ctrl-C, and with methods of an outside package."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from demo import demo_spec, ended
from plugin import SHIFT, write_acting, write_plugin, write_table, write_tiny_model

import bench as public
from bench.cli.run import name_failures

BENCH = [sys.executable, "-m", "bench"]
TABLE = "[{local: {path: toy.csv, label: toy, template: '{text}'}}]"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder to work in, with data and two outside packages."""
    write_table(tmp_path / "toy.csv")
    write_acting(tmp_path / "site")
    write_plugin(tmp_path / "site", {"bench.methods": {"shift": "shifting:Shift"}}, shifting=SHIFT)
    broken = {"bench.methods": {"broken": "nowhere:X"}}
    write_plugin(tmp_path / "site", broken, "broken-methods")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*BENCH, *arguments], capture_output=True, text=True, timeout=180, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def records(root: Path) -> dict[str, float]:
    """When each record was written."""
    return {str(path.relative_to(root)): path.stat().st_mtime for path in root.rglob("records/**/*.json")}


def wait_for(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


WAITING = f"""
name: waiting
models: [glasslm-0.9m]
datasets: {TABLE}
methods:
  - act: {{label: first}}
  - act: {{label: second, do: wait, sign: go}}
finals: {{seeds: 1}}
"""


def test_whatever_stops_a_run_the_same_command_goes_on_and_leaves_no_process(home):
    Path("x.yaml").write_text(WAITING)
    first = lambda: [name for name in records(home) if "/first/" in name]  # noqa: E731

    def begin() -> tuple[subprocess.Popen[str], list[psutil.Process]]:
        command = [*BENCH, "run", "x.yaml", "--workers", "1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: len(first()) == 1)  # its final; now the second waits
        wait_for(lambda: psutil.Process(process.pid).children())
        return process, psutil.Process(process.pid).children(recursive=True)

    # The machine kills the driver: the workers notice and go.
    driver, workers = begin()
    assert workers
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    wait_for(lambda: not any(worker.is_running() for worker in workers))
    assert not list(Path("tmp").iterdir())
    before = records(home)

    # Ctrl-C.
    driver, workers = begin()
    driver.send_signal(signal.SIGINT)
    out, err = driver.communicate(timeout=30)
    assert driver.returncode == 130
    assert "going on: 1 of 2 runs are done already" in out
    assert "interrupted; what was finished is in results/waiting. To go on:\n  bench run x.yaml --workers 1\n" in err
    assert "Traceback" not in out + err
    wait_for(lambda: not any(worker.is_running() for worker in workers), 10)

    # And on to the end.
    Path("go").touch()
    done = bench("run", "x.yaml", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "report: reports/waiting/report.md" in done.stdout
    after = records(home)
    assert len(after) == 2
    assert {name: after[name] for name in before} == before, "nothing that was finished ran again"


DRIVER = """
import sys
from bench.cli import main
sys.argv = ["bench", "run", "x.yaml"]
try:
    main()
except SystemExit as ended:
    print("code", ended.code)
print("loaded", sorted({"torch", "transformers", "peft", "evaluate"} & set(sys.modules)))
"""


def test_a_method_of_an_outside_package_runs_like_any_other_and_the_driver_stays_small(home):
    write_tiny_model(home / "model")
    Path("x.yaml").write_text(f"""
name: outside
models: [{{local: {{path: model, label: tiny}}}}]
datasets: {TABLE}
methods: [shift, {{lora: {{search: {{rank: 0x100}}}}}}, {{act: {{do: die, sign: died}}}}]
training: {{max_steps: 4, eval_steps: 2, batch_size: 4}}
study: {{trials: 2, sampler: random}}
finals: {{seeds: 1}}
overrides:
  - {{methods: [lora], options: {{target_modules: [no_such_layer]}}, search: {{learning_rate: 1e-3}}}}
""")
    listed = json.loads(bench("list", "methods", "--json").stdout)
    assert {row["name"]: row["from"] for row in listed["entries"]}["shift"] == "outside"
    assert "No module named 'nowhere' (from broken-methods)" in listed["broken"]["broken"]
    assert "learning_rate: " in bench("show", "method", "shift").stdout

    done = subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, timeout=180, check=False)

    assert "loaded []" in done.stdout, done.stdout + done.stderr
    assert "code 0" in done.stdout, "lora has no such layer: that is said, and is no defect"
    assert "infeasible tiny / toy / lora, final 0: " in done.stdout
    assert "act, final 0  killed, trying again: the worker process ended with signal SIGKILL" in done.stdout
    frame = public.load_results("results/outside")
    statuses = frame.groupby(["method", "status"]).size().to_dict()
    assert statuses == {("act", "ok"): 1, ("shift", "ok"): 3, ("lora", "infeasible"): 1}
    stored = [json.loads(path.read_text()) for path in Path("results").rglob("final-*.json")]
    (final,) = [record for record in stored if record["spec"]["cell"]["method"]["name"] == "shift"]
    assert final["parameters"]["trainable"] == final["parameters"]["with_gradient"] == 112
    assert list(Path("results/outside/adapters").rglob("trained_weights.safetensors"))
    report = Path("reports/outside/report.md").read_text()
    assert "bench run x.yaml" in report
    assert "lora" in report


def test_from_python_a_run_gives_the_frame_of_its_results(home):
    frame = public.run(
        {
            "name": "from-python",
            "models": ["glasslm-0.9m"],
            "datasets": [{"local": {"path": "toy.csv", "template": "{text}"}}],
            "methods": ["majority"],
        },
        "r",
        changes=["finals.seeds=2"],
        engine="inline",
    )
    # Nothing is searched, and no seed changes a majority: one final is enough.
    assert sorted(frame["kind"]) == ["final"]
    assert set(frame["status"]) == {"ok"}
    assert Path("r/experiment.json").exists()


def test_the_reason_of_a_failure_is_printed_letter_by_letter(capsys):
    reason = "tcp:100: [red] refused"
    assert name_failures([ended(demo_spec(), status="error", reason=reason)]) == 1
    assert capsys.readouterr().out.rstrip().endswith(reason)


def test_a_run_in_which_everything_fails_names_each_and_still_reports(home):
    Path("x.yaml").write_text(f"""
name: hopeless
models: [glasslm-0.9m]
datasets: {TABLE}
methods: [{{act: {{do: wait, sign: never}}}}]
runtime: {{trial_timeout: 0.2}}
""")
    done = bench("run", "x.yaml")
    assert done.returncode == 1
    assert "timeout none / toy / act, final 0: stopped after 0.2 s (runtime.trial_timeout)" in done.stdout
    assert "report: reports/hopeless/report.md" in done.stdout
    assert "stopped after 0.2 s" in Path("reports/hopeless/report.md").read_text()

    status = bench("status", "results/hopeless")
    assert status.returncode == 0
    assert "1 timeout" in status.stdout
    assert [path.name for path in Path("results/hopeless/logs").iterdir()] == ["worker-0.log"]
