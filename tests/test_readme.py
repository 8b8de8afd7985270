"""The README is tested: its commands are those of .ci/run, its examples work as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from plugin import write_plugin

import bench
from bench.experiment.expansion import plan_cells
from bench.experiment.file import load_experiment
from bench.experiment.schema import Experiment
from bench.methods import methods

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))


def block(marker, language):
    """Return the code block that stands directly below a marker."""
    found = re.findall(rf"^<!-- {re.escape(marker)} -->\n```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"README.md: one block below <!-- {marker} -->, found {len(found)}"
    return found[0]


def yaml_examples():
    """Return the fragments of an experiment in README and guides."""
    guides = [ROOT / "docs" / f"{name}.md" for name in ("own_data", "experiment_file", "models_and_methods")]
    pages = [README, *(guide.read_text(encoding="utf-8") for guide in guides)]
    return [found for page in pages for found in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)]


def test_the_readme_can_be_read_in_five_minutes():
    shown = re.sub(r"<!--.*?-->", "", README, flags=re.DOTALL)
    assert len(shown.split()) <= 1200


def test_each_command_is_one_line_that_installs_what_was_tested_and_then_works():
    run, test = block("command: run", "sh"), block("command: test", "sh")
    install = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e"
    assert run == f"{install} . && .venv/bin/bench run experiments/quickstart.yaml\n"
    assert test == f"{install} '.[test]' && .venv/bin/python -m pytest\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_ci_runs_the_commands_that_the_readme_shows():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\) \{\n.*?^\}$", script, re.MULTILINE | re.DOTALL)
    for name in ("run", "test"):
        command = f"{function.group()}\nreadme_command {name}"
        printed = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert printed == block(f"command: {name}", "sh")
        assert f"$(readme_command {name})" in script
    assert ".venv/bin/bench" not in script.replace(".venv/bin/bench validate", ""), "a job besides the README's own"


def test_ci_can_be_executed():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_that_ships_is_valid_without_a_network(path):
    experiment = load_experiment(path)
    assert plan_cells(experiment, path.name)
    assert experiment.name == path.stem


def test_the_first_trial_of_the_guides_example_is_the_guides():
    path = ROOT / "experiments" / "decoder_ladder.yaml"
    cells = plan_cells(load_experiment(path), path.name)
    (cell,) = (c for c in cells if c.labels == ("bloomz-560m", "twitter_complaints", "prompt-text"))
    assert cell.method.options["init_text"] == "Classify if the tweet is a complaint or not:"
    assert cell.method.options["num_virtual_tokens"] == 8
    assert (cell.training.learning_rate, cell.training.num_train_epochs, cell.training.batch_size) == (3e-2, 50, 16)
    assert set(cell.search) == {"learning_rate"}


def test_prompt_tuning_of_power_of_scale_is_the_papers_and_is_not_searched():
    path = ROOT / "experiments" / "power_of_scale.yaml"
    cells = plan_cells(load_experiment(path), path.name)
    prompts = [c for c in cells if c.method.name == "prompt_tuning"]
    assert len(prompts) == 5 * 6 * 3
    for cell in prompts:
        settings = cell.training
        assert (settings.optimizer, settings.learning_rate, settings.weight_decay) == ("adafactor", 0.3, 1e-5)
        assert (settings.max_steps, settings.batch_size, settings.lr_scheduler_type) == (30_000, 32, "constant")
        assert cell.method.options["num_virtual_tokens"] == 100
        assert not cell.search
        assert cell.finals.seeds == 3


def test_the_example_experiment_is_valid(tmp_path):
    path = tmp_path / "tickets.yaml"
    path.write_text(block("example: experiment", "yaml"), encoding="utf-8")
    cells = plan_cells(load_experiment(path), path.name)
    assert len(cells) == 1 + 2 * 5, "majority runs once, the other methods once a model"


def test_every_other_yaml_example_is_valid_too():
    """Fragments of an experiment, put into a whole one."""
    whole = {"name": "fragment", "models": ["smollm2-135m"], "datasets": ["trec6"], "methods": ["majority"]}
    fragments = [yaml.safe_load(text) for text in yaml_examples()]
    assert len(fragments) >= 3
    for fragment in fragments:
        assert plan_cells(Experiment.model_validate({**whole, **fragment}), "README.md")


def test_every_path_of_the_repository_that_the_readme_links_to_exists_or_is_a_report():
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", README) if "://" not in link]
    missing = [link for link in links if not (ROOT / link).exists() and not link.startswith("reports/")]
    assert links
    assert not missing


def test_the_plug_in_is_found_by_its_entry_point_and_runs(tmp_path, monkeypatch):
    """The example of "A method of your own", installed beside the package and run for two steps on a CSV file."""
    code = block("example: plug-in", "python")
    assert len(code.splitlines()) < 30
    project = tomllib.loads(re.search(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL).group(1))
    ((name, target),) = project["project"]["entry-points"]["bench.methods"].items()
    module = target.partition(":")[0]
    write_plugin(tmp_path / "site", {"bench.methods": {name: target}}, project["project"]["name"], **{module: code})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for attribute, value in {"_targets": {**methods._targets}, "_owners": {**methods._owners}}.items():
        monkeypatch.setattr(methods, attribute, value)  # what is found here is forgotten afterwards
    monkeypatch.setattr(methods, "_discovered", False)
    rows = [f"{'good' if i % 2 else 'bad'} number {i},{'plus' if i % 2 else 'minus'}" for i in range(60)]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    experiment = {
        "name": "plug-in",
        "models": ["glasslm-0.9m"],
        "datasets": [{"local": {"path": str(tmp_path / "reviews.csv")}}],
        "methods": [name],
        "training": {"max_steps": 2, "batch_size": 4},
        "study": {"trials": 1},
        "finals": {"seeds": 1},
        "evaluation": {"generations": 2},
    }

    frame = bench.run(experiment, tmp_path / "results", engine="inline")

    assert list(frame["status"]) == ["ok", "ok"]
    assert set(frame["parameters.trainable"]) == {128}, "the width of GlassLM"
    assert list((tmp_path / "results" / "adapters").rglob("trained_weights.safetensors"))
