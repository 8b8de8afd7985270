"""The small commands, and what the command line costs before it does anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from demo import Pretend, demo_plan, drive, ended

from bench.cli import app, main
from bench.cli.listing import REGISTRIES


@pytest.fixture
def bench(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder, and return what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        return capsys.readouterr().out

    return run


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bench.cli import main; sys.argv = ['bench', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'peft', 'optuna', 'pandas', 'numpy', 'pydantic', 'yaml', 'matplotlib', "
        "'datasets', 'evaluate', 'bench.studies', 'bench.methods'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Which way of adapting" in done.stdout


def test_every_command_and_every_option_has_a_help_text():
    import typer.main

    for name, command in typer.main.get_command(app).commands.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_entry_is_listed_and_can_be_shown_whole(bench, kind):
    listed = json.loads(bench("list", kind, "--json"))
    names = [row["name"] for row in listed["entries"]]
    assert names == REGISTRIES[kind].names()
    assert all(row["summary"] for row in listed["entries"])
    assert all(name in bench("list", kind) for name in names)
    for name in names:
        shown = json.loads(bench("show", kind, name, "--json"))
        assert all(field["meaning"] for field in shown["fields"]), f"a field of {name} has no docstring"
        assert name in bench("show", kind.removesuffix("s"), name)


def test_a_method_is_shown_with_defaults_search_space_and_citation(bench):
    shown = bench("show", "method", "prompt_tuning")
    for part in ("num_virtual_tokens", "20", "learning_rate", "arXiv:2104.08691", "P, the number of virtual tokens."):
        assert part in shown


def test_a_model_and_a_data_set_are_shown_with_their_licence(bench):
    assert "license: Apache-2.0" in bench("show", "model", "smollm2-135m")
    assert "Gemma Terms of Use" in bench("show", "model", "gemma3-270m")
    assert "citation: " in bench("show", "dataset", "trec6")


def test_status_shows_what_is_planned_and_how_it_ended_cell_by_cell(bench):
    planned = demo_plan("r", methods=["prompt_tuning", "lora"], study={"trials": 2})
    engine = Pretend(
        play=lambda spec: ended(spec, status="oom") if spec.number == 1 and spec.kind == "trial" else ended(spec),
        stop_after=4,
        specs=[],
    )
    with pytest.raises(KeyboardInterrupt):
        drive(planned, engine)
    rows = {line.split("│")[3].strip(): line for line in bench("status", "r").splitlines() if "trec6" in line}
    assert "2 of 2" in rows["prompt_tuning"] and "2 ok" not in rows["prompt_tuning"].split("2 of 2")[0]
    assert "1 oom" in rows["prompt_tuning"]
    assert "0 of 2" in rows["lora"] and "not begun" in rows["lora"]


def test_validate_counts_the_cells(bench):
    Path("x.yaml").write_text("name: a\nmodels: [glasslm-0.9m]\ndatasets: [trec6]\nmethods: [majority, lora]\n")
    *floor, last = bench("validate", "x.yaml").splitlines()
    assert last == "x.yaml: valid; experiment 'a', 2 cells"
    assert all(line.startswith("data set trec6: with 3 seeds and ") for line in floor), "where its package is at hand"
    assert "10 cells" not in bench("validate", "x.yaml", "--set", "methods=[lora]")


@pytest.mark.parametrize("command", [["validate"], ["run", "--dry-run"]], ids=" ".join)
def test_accuracy_where_most_rows_have_one_label_is_warned_of(bench, command):
    lines = [f"text {n},{'yes' if n % 5 else 'no'}" for n in range(50)]
    Path("rows.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    asked = "name: a\nmodels: [glasslm-0.9m]\nmethods: [majority]\ndatasets: [{local: {path: rows.csv, label: rows"
    Path("x.yaml").write_text(asked + "}}]\n")
    said = bench(*command[:1], "x.yaml", *command[1:])
    assert "warning: data set rows: 80% of the rows have the same label" in said
    Path("x.yaml").write_text(asked + ", metrics: [f1_macro]}}]\n")
    assert "warning" not in bench(*command[:1], "x.yaml", *command[1:])


@pytest.mark.parametrize("command", [["validate"], ["run", "--dry-run"]], ids=" ".join)
def test_before_a_run_it_is_said_which_gaps_it_will_not_tell_apart(bench, command):
    lines = [f"text {n},{'yes' if n % 2 else 'no'}" for n in range(600)]
    Path("rows.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    data = "{local: {path: rows.csv, label: rows, train_size: 200, validation_size: 100, test_size: 300}}"
    asked = f"name: a\nmodels: [glasslm-0.9m]\nmethods: [prompt_tuning, lora]\ndatasets: [{data}]\n"
    Path("x.yaml").write_text(asked)
    said = bench(*command[:1], "x.yaml", *command[1:])
    # The cell of docs/statistics.md for 2 methods, 3 seeds and 300 items.
    assert "data set rows: with 3 seeds and 300 test items, gaps between 2 methods under 7.7 points of accuracy" in said
    said = bench(*command[:1], "x.yaml", *command[1:], "--set", "finals.seeds=2")
    assert "with 2 seeds and 300 test items nothing can be said about which gaps are chance" in said
    for other in ("methods=[lora]", "datasets.0.local.metrics=[f1_macro]"):
        assert "cannot be told apart" not in bench(*command[:1], "x.yaml", *command[1:], "--set", other)


def test_a_dry_run_shows_trials_ranges_and_downloads_and_writes_nothing(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    Path("x.yaml").write_text("name: a\nmodels: [glasslm-0.9m]\ndatasets: [trec6]\nmethods: [majority, lora]\n")
    out = bench("run", "x.yaml", "--dry-run", "--set", "study.trials=4")
    for part in (
        "rank: 2 to 32 (log)",
        "4 trials and 4 finals; results go to results/a",
        "glassllm 0.1.0 for glasslm-0.9m: 3.0 MiB, to be downloaded",
        "to download: 33.6 MiB",
    ):
        assert part in out
    repeated = bench("run", "x.yaml", "--dry-run", "--set", "study.trials=4", "--set", "study.repeats=3")
    assert "4 trials, 3 of them repeated, and 4 finals" in repeated
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


def test_a_report_is_drawn_again_from_records_alone(bench):
    drive(demo_plan("results/demo", study={"trials": 1}))
    assert "report: reports/demo/report.md" in bench("report", "results/demo")
    assert Path("reports/demo/table.csv").exists()


@pytest.mark.parametrize("file", sorted(Path(__file__).parents[2].glob("experiments/*.yaml")), ids=lambda p: p.stem)
def test_the_experiments_of_the_project_are_valid(bench, file):
    Path("experiments").symlink_to(file.parent)  # from whose folder's parent one of them reads its data
    assert ": valid; " in bench("validate", str(file))
    assert "results go to " in bench("run", str(file), "--dry-run")
