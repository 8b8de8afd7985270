"""What a first user stumbles over is said in one clear line."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

import bench
from bench.cli import main
from bench.cli.listing import show_entry
from bench.core.errors import BadInput
from bench.experiment.file import parse_experiment
from bench.experiment.settings import Training
from bench.methods import methods


def test_an_unknown_method_mentions_the_option_for_a_file_of_ones_own():
    with pytest.raises(BadInput, match=r"unknown method 'lorra'; did you mean 'lora'\? .*--plugin FILE"):
        methods.get("lorra")


def test_a_name_that_only_one_entry_has_can_be_shown_without_its_kind(capsys):
    show_entry("lora", None, as_json=True)
    assert '"name": "lora"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hub", r"'hub' is the name of a dataset and a model and a metric; say 'bench show dataset hub'"),
        ("method", r"show method: which one\? 'bench list methods' lists them"),
        ("lorra", r"nothing is called 'lorra'; did you mean 'lora'\?; 'bench show KIND NAME'"),
    ],
)
def test_a_name_that_does_not_do_says_what_is_needed(name, said):
    with pytest.raises(BadInput, match=said):
        show_entry(name, None, as_json=False)


@pytest.mark.parametrize("given", [42, None, ["x.yaml"]])
def test_what_is_no_experiment_is_refused(given):
    with pytest.raises(BadInput, match=r"experiment: expected the path of a file, a mapping as in a file, .* found"):
        bench.run(given)


def test_a_wrong_option_of_params_does_not_wait_for_torch():
    code = (
        "import sys\nfrom bench.cli.params import show_params\n"
        "try: show_params('bloomz-560m', 'lora', ['rnak=3'])\n"
        "except Exception as error: print(error)\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["--set.rnak: unknown key; did you mean 'rank'?", "False"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_no_bad_input(wrapped, monkeypatch, capsys):
    def fill() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "results/x.json")
        except OSError as error:
            if wrapped:
                raise BadInput(f"results: cannot be written ({error.strerror})") from None
            raise

    monkeypatch.setattr("bench.cli.app", fill)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: the disk is full: results/x.json; make room and run it again\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("study.trials=1000000000", "study.trials: input should be less than or equal to 10000, found 1000000000"),
        ("finals.seeds=1000000", "finals.seeds: input should be less than or equal to 1000, found 1000000"),
    ],
)
def test_a_number_that_would_never_end_is_refused(change, said):
    data = {"name": "x", "models": ["a"], "datasets": ["b"], "methods": ["c"]}
    with pytest.raises(BadInput, match=said):
        parse_experiment(data, "x.yaml", [change])


@pytest.mark.parametrize("steps", [1e30, 10**9])
def test_steps_that_would_never_end_are_refused(steps):
    with pytest.raises(BadInput, match=r"training\.max_steps: .*, found 1"):
        Training.parse({"max_steps": steps}, "x.yaml: training")
