"""Whatever the user gets wrong is one clear line and exit code 2, before anything is computed."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest
from demo import demo_plan, drive

from bench.cli import main

GOOD = "name: demo\nmodels: [glasslm-0.9m]\ndatasets: [trec6]\nmethods: [majority, lora]\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of its own, an empty cache, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    Path("x.yaml").write_text(GOOD)
    return tmp_path


@pytest.fixture
def bench(monkeypatch, capsys):
    """Run the command, and return its exit code, what it printed, and its errors."""

    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return ended.value.code, out, err

    return run


def refused(result: tuple[object, str, str]) -> str:
    """Return the one error of a command that refused."""
    code, _, err = result
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("error:") == 1
    return err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("models=[glaslm]", "unknown model 'glaslm'; did you mean 'glasslm-0.9m'?"),
        ("methods=[lorra]", "unknown method 'lorra'; did you mean 'lora'?"),
        ("datasets=[trec5]", "unknown data set 'trec5'; did you mean 'trec6'?"),
        ("datasets=[{trec6: {metrics: [acuracy]}}]", "unknown metric 'acuracy'; did you mean 'accuracy'?"),
        ("methods=[{lora: {rnak: 3}}]", "methods[0].lora.rnak: unknown key; did you mean 'rank'?"),
        ("study.trials=many", "study.trials: input should be a valid integer"),
        ("methods=[{lora: {search: {learning_rate: {low: 1, high: 0.1}}}}]", "the range is upside down"),
    ],
)
@pytest.mark.parametrize("command", [["run"], ["validate"], ["run", "--dry-run"]], ids=" ".join)
def test_a_wrong_experiment_is_refused_by_every_command_that_reads_it(bench, place, command, change, said):
    err = refused(bench(*command, "x.yaml", "--set", change))
    assert err.startswith("error: x.yaml: ")
    assert said in err
    assert err.count("\n") == 1
    assert [path.name for path in place.iterdir()] == ["x.yaml"], "nothing was begun"


def test_an_empty_file_and_a_missing_one(bench):
    Path("empty.yaml").touch()
    assert "found an empty file" in refused(bench("run", "empty.yaml"))
    assert "no.yaml: no such file" in refused(bench("run", "no.yaml"))


def test_results_that_cannot_be_written_are_said_before_anything_is_fetched(bench, place):
    Path("file").touch()
    assert "file/r: cannot be written (Not a directory)" in refused(bench("run", "x.yaml", "--results", "file/r"))
    assert not (place / "cache").exists()


def test_reports_that_cannot_be_written_are_said_before_anything_is_computed(bench, place):
    Path("file").touch()
    assert "file/r: cannot be written (Not a directory)" in refused(bench("run", "x.yaml", "--reports", "file/r"))
    assert not (place / "results").exists()


def test_results_of_another_experiment(bench):
    drive(demo_plan("r", name="other", study={"trials": 1}))
    assert "r: holds the results of experiment 'other', not of 'demo'" in refused(
        bench("run", "x.yaml", "--results", "r")
    )


def test_a_cache_that_cannot_be_written(bench, monkeypatch):
    Path("file").touch()
    monkeypatch.setenv("BENCH_CACHE", "file/cache")
    assert "cache folder file/cache/wheels is not writable" in refused(bench("run", "x.yaml"))


def test_no_network(bench):
    err = refused(bench("run", "x.yaml"))
    assert "cannot download glassllm==0.1.0" in err
    assert "is the package index reachable?" in err
    assert err.count("\n") == 1


def test_a_wheel_whose_hash_is_wrong_is_not_used(bench, place, monkeypatch):
    name = "glassllm-0.1.0"
    with zipfile.ZipFile(place / f"{name}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: glassllm\nVersion: 0.1.0\n")
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))

    err = refused(bench("run", "x.yaml"))

    assert "glassllm 0.1.0: sha256 is " in err
    assert "expected 1611801c" in err
    assert not list((place / "cache").rglob("*.whl"))


def test_a_licence_is_shown_before_the_first_download_and_can_be_accepted(bench, place):
    opt_in = ("x.yaml", "--set", "models=[gemma3-270m]")
    err = refused(bench("run", *opt_in))
    assert "Gemma Terms of Use" in err
    assert "--accept-license gemma3-270m" in err
    assert not (place / "cache").exists()

    code, out, _ = bench("run", *opt_in, "--dry-run")
    assert code == 0
    assert "add --accept-license gemma3-270m" in out
    for accept in (("--accept-license", "gemma3-270m"), ("--set", "accept_licenses=[gemma3-270m]")):
        code, out, _ = bench("run", *opt_in, "--dry-run", *accept)
        assert code == 0
        assert "--accept-license" not in out
        assert "cannot download gemma3-270m" in refused(bench("run", *opt_in, *accept))


def test_data_that_is_wrong_is_said_with_its_row(bench):
    Path("toy.csv").write_text("text,label\na,yes\nb,\n")
    err = refused(bench("run", "x.yaml", "--set", "datasets=[{local: {path: toy.csv}}]", "--set", "methods=[majority]"))
    assert "toy.csv, row 3: column 'label' is empty" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "no"], "no: no results folder"),
        (["report", "no"], "no: there is no such folder"),
        (["show", "method", "lorra"], "unknown method 'lorra'; did you mean 'lora'?"),
        (["show", "metod", "lora"], "unknown kind 'metod'"),
        (["list", "frogs"], "unknown kind 'frogs'; known are datasets, engines"),
        (["run", "x.yaml", "--ray-address", "head:6379"], "--ray-address: the engine is 'processes'; add --engine ray"),
        (["run", "x.yaml", "--engine", "inline", "--ray-address", "auto"], "the engine is 'inline'"),
        (["run", "x.yaml", "--engine", "slurmm"], "--engine: unknown engine 'slurmm'"),
        (["run", "x.yaml", "--set", "models=[{local: {path: nix}}]"], "models: local.path: nix is not a folder"),
    ],
)
def test_what_there_is_not_is_refused_in_a_line(bench, arguments, said):
    assert said in refused(bench(*arguments))


@pytest.mark.parametrize("arguments", [["run"], ["run", "x.yaml", "--bogus"], ["frogs"]])
def test_an_option_that_there_is_not_is_exit_code_2_as_well(bench, arguments):
    assert bench(*arguments)[0] == 2
