"""Plug-ins in a file: found where they are named, the same everywhere, refused in a line; docs/plugins.md works."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from demo import demo_spec
from plugin import write_plugin, write_table, write_tiny_model
from typer.testing import CliRunner

from bench.api import plan
from bench.cli import app
from bench.cli.new import new_method, skeleton
from bench.core import plugins
from bench.core.errors import BadInput
from bench.core.plugins import PluginFile, load_plugins, loaded_plugins
from bench.core.registry import Registry
from bench.methods import methods
from bench.runs.store import RecordStore
from bench.testing import MethodContract
from bench.training.session import Session
from bench.training.trial import run_trial

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
EXAMPLE = {"name": "input_shift", "module": "input_shift", "class_name": "InputShift", "title": "Input shift"}

METHOD = """
from bench.methods.majority import LabelFrequencies, Majority
from bench.methods import methods

@methods.register("{name}")
class Mine(Majority):
    '''Mine.'''
"""


def documented(name, language):
    (found,) = re.findall(rf"^<!-- example: {re.escape(name)} -->\n```{language}\n(.*?)^```$", DOCS, re.M | re.S)
    return found


@pytest.fixture(autouse=True)
def forgotten(tmp_path, monkeypatch):
    """No test knows the plug-ins of another; each runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    yield
    for plugin in loaded_plugins():
        for registry in Registry.known():
            registry.forget(plugin.file)
    plugins._loaded.clear()


def write(path, text):
    path.write_text(text)
    return str(path)


def experiment(tmp_path, **changes):
    write_table(tmp_path / "t.csv")
    return {
        "name": "demo",
        "models": ["glasslm-0.9m"],
        "datasets": [{"local": {"path": "t.csv"}}],
        "methods": ["majority", "mine"],
        "study": {"trials": 1},
        **changes,
    }


def test_a_file_is_found_only_where_it_is_named(tmp_path):
    write(tmp_path / "mine.py", METHOD.format(name="mine"))
    with pytest.raises(BadInput, match="unknown method 'mine'"):
        plan(experiment(tmp_path))
    planned = plan(experiment(tmp_path, plugins=["mine.py"]))
    sha256 = hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    majority, mine = planned.cells
    assert majority.plugins == ()
    assert mine.plugins == (PluginFile(file="mine.py", sha256=sha256),)
    assert planned.manifest.plugins == mine.plugins
    assert "--plugin" not in (planned.manifest.command or "")


def test_a_changed_file_is_another_cell_and_leaves_the_others_alone(tmp_path):
    file = tmp_path / "mine.py"
    hashes = []
    for comment in ("# one\n", "# two\n", "# one\n"):
        write(file, comment + METHOD.format(name="mine"))
        hashes.append([cell.hash for cell in plan(experiment(tmp_path, plugins=["mine.py"])).cells])
    assert hashes[0] == hashes[2]
    assert hashes[0][0] == hashes[1][0]
    assert hashes[0][1] != hashes[1][1]


def test_where_a_file_lies_changes_no_cell(tmp_path):
    (tmp_path / "folder").mkdir()
    first = write(tmp_path / "mine.py", METHOD.format(name="mine"))
    before = [cell.hash for cell in plan(experiment(tmp_path, plugins=[first])).cells]
    for registry in Registry.known():
        registry.forget(first)
    second = write(tmp_path / "folder" / "other.py", METHOD.format(name="mine"))
    assert [cell.hash for cell in plan(experiment(tmp_path, plugins=[second])).cells] == before


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1 / 0\n", r"raises on import: ZeroDivisionError: division by zero \(line 1\)"),
        ("raise SystemExit(3)\n", "raises on import: SystemExit: 3"),
        ("def x(:\n", "raises on import: SyntaxError: invalid syntax"),
        (
            "import no_such_module\n",
            r"raises on import: ModuleNotFoundError: No module named 'no_such_module' \(line 1\)",
        ),
        ("x = 1\n", "registers nothing; put @methods.register"),
        (METHOD.format(name="lora"), "method 'lora' of .* is already taken by promptscale; give it another name"),
        (METHOD.format(name="No Name"), "'No Name' is not a valid name"),
        (
            "from bench.methods import methods\n@methods.register('mine')\nclass Mine: pass\n",
            "method 'mine' does not load: TypeError: Mine is not a subclass of bench.methods.base.Method",
        ),
        (
            "from bench.methods import Method, methods\n@methods.register('mine')\nclass Mine(Method): pass\n",
            "method 'mine' does not load: TypeError: Mine does not define attach, as a method has to",
        ),
        (
            "from bench.datasets import Dataset, datasets\n@datasets.register('mine')\nclass Mine(Dataset): pass\n",
            "data set 'mine' does not load: TypeError: Mine does not define rows, as a data set has to",
        ),
    ],
)
def test_a_plugin_that_is_no_good_is_refused_in_a_line_and_leaves_nothing_behind(tmp_path, source, said):
    file = write(tmp_path / "mine.py", source)
    before = methods.names()
    with pytest.raises(BadInput, match=said) as caught:
        load_plugins([file])
    assert str(caught.value).startswith(f"plug-in {file}: ")
    assert "\n" not in str(caught.value)
    assert methods.names() == before
    assert methods.owner("lora") == "promptscale"
    load_plugins([write(tmp_path / "mine.py", METHOD.format(name="mine"))])
    assert "mine" in methods


def test_a_file_that_is_missing_or_changed_since_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"plug-in nothing\.py: cannot be read: No such file"):
        load_plugins(["nothing.py"])
    write(tmp_path / "mine.py", METHOD.format(name="mine"))
    with pytest.raises(BadInput, match=r"plug-in mine\.py: has changed since the run was planned"):
        load_plugins([PluginFile(file="mine.py", sha256="0" * 64)])


def test_two_files_cannot_have_one_name(tmp_path):
    one, two = (write(tmp_path / f"{n}.py", METHOD.format(name="mine")) for n in ("one", "two"))
    with pytest.raises(BadInput, match=r"plug-in .*two\.py: method 'mine' of .*two\.py is already taken by .*one\.py"):
        load_plugins([one, two])


def test_a_method_whose_attach_gives_no_tuned_model_ends_its_trial_and_says_why(tmp_path):
    source = METHOD.format(name="mine") + "    def attach(self, base, dataset, seed):\n        return 3\n"
    write(tmp_path / "mine.py", source)
    cell = plan(experiment(tmp_path, methods=["mine"], plugins=["mine.py"])).cells[0]
    record = run_trial(demo_spec(cell), Session(), listener=None, artifacts=None)
    assert record.status == "error"
    assert "Mine.attach returned 3; it has to return a TunedModel" in record.reason


def test_list_and_show_know_a_plugin_when_they_are_told(tmp_path):
    file = write(tmp_path / "mine.py", METHOD.format(name="mine"))
    listed = CliRunner().invoke(app, ["list", "methods", "--json", "--plugin", file])
    (mine,) = [row for row in json.loads(listed.output)["entries"] if row["name"] == "mine"]
    assert mine["from"] == file
    assert "Mine." in CliRunner().invoke(app, ["show", "method", "mine", "--plugin", file]).output


def test_the_example_of_the_docs_is_what_bench_new_writes(tmp_path):
    assert documented("input_shift.py", "python") == skeleton("method.py.txt", **EXAMPLE)
    assert documented("test_input_shift.py", "python") == skeleton("test.py.txt", **EXAMPLE)


def test_the_example_of_the_docs_runs_in_worker_processes(tmp_path):
    write(tmp_path / "input_shift.py", documented("input_shift.py", "python"))
    asked = yaml.safe_load(documented("experiment.yaml", "yaml"))
    local = experiment(tmp_path)["datasets"]
    write_tiny_model(tmp_path / "tiny")
    asked |= {"models": [{"local": {"path": "tiny"}}], "datasets": local}  # seconds, and nothing to fetch
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(asked))
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "experiment.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    finals = [r for r in RecordStore("results/shifted") if r.spec.cell.method.name == "input_shift" and r.test]
    assert [plugin.file for plugin in finals[0].spec.cell.plugins] == ["input_shift.py"]
    assert finals[0].measurements["shift_norm"] > 0
    assert finals[0].measurements["task_bytes"] > 0


def test_a_soft_prompt_with_trained_biases_is_a_few_lines_and_keeps_the_contract(tmp_path):
    """The second example of the docs, on a decoder that has biases and on an encoder with a head of its own."""
    source = documented("prompt_and_biases.py", "python")
    assert len(source.splitlines()) < 45
    assert "def save" not in source and "def load" not in source and "def detach" not in source
    load_plugins([write(tmp_path / "prompt_and_biases.py", source)])
    for family in ("gpt2", "bert"):
        hold(tmp_path / family, "prompt_and_biases", family)


def hold(folder, method, family="llama"):
    """Hold a method to the contract, as pytest would."""
    contract = type("Held", (MethodContract,), {"method": methods.get(method)(), "family": family})()
    for number, name in enumerate(n for n in dir(contract) if n.startswith("test_")):
        check = getattr(contract, name)
        check(folder / str(number)) if "tmp_path" in inspect.signature(check).parameters else check()


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("[1]", "Odd.search_space(): expected a mapping of names to Float, Int or Choice, found [1]"),
        ("{'rank': (1, 2)}", "Odd.search_space(): expected a mapping of names to Float, Int or Choice, found {'rank'"),
        (
            "{'learning_ratee': Float(low=1, high=2)}",
            "Odd.search_space(): unknown parameter 'learning_ratee'; did you mean 'learning_rate'?",
        ),
    ],
)
def test_a_search_space_that_is_none_is_the_methods_not_the_experiments(tmp_path, space, said):
    (tmp_path / "odd.py").write_text(
        "from bench.core.distributions import Float\nfrom bench.methods import Method, methods\n"
        "@methods.register('odd')\nclass Odd(Method):\n    'Odd.'\n"
        f"    def search_space(self):\n        return {space}\n    def attach(self, base, dataset, seed): ...\n"
    )
    with pytest.raises(BadInput) as caught:
        plan(
            {"name": "odd", "models": ["glasslm-0.9m"], "datasets": ["trec6"], "methods": ["odd"]},
            plugins=[str(tmp_path / "odd.py")],
        )
    assert str(caught.value).startswith(said)


OLD = """
from bench.methods import Method, TunedModel, methods
from bench.core.distributions import Float

@methods.register("old")
class Old(Method):
    "Written for version 0.1: all by itself."

    def search_space(self):
        return {"learning_rate": Float(low=1e-4, high=1e-1, log=True)}

    def attach(self, base, dataset, seed):
        return OldModel(base)

class OldModel(TunedModel):
    def __init__(self, base):
        from torch import nn, zeros
        super().__init__(base)
        embedding = base.network.get_input_embeddings()
        self.shift = nn.Parameter(zeros(embedding.weight.shape[1], device=base.device))
        self.hook = embedding.register_forward_hook(lambda _, ids, out: out + self.shift.to(out.dtype))

    def trainable(self):
        return {"shift": self.shift}

    def added_parameters(self):
        return self.shift.numel()

    def save(self, folder):
        from safetensors.torch import save_file
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"shift": self.shift.detach().cpu()}, folder / "shift.safetensors")

    def load(self, folder):
        from safetensors.torch import load_file
        self.shift.data.copy_(load_file(folder / "shift.safetensors")["shift"])

    def detach(self):
        self.hook.remove()
        super().detach()
"""


def test_a_plug_in_of_version_0_1_that_saves_loads_and_detaches_by_itself_keeps_the_contract(tmp_path):
    load_plugins([write(tmp_path / "old.py", OLD)])
    hold(tmp_path, "old")


def test_what_bench_new_writes_passes_its_own_test_and_is_found_when_installed(tmp_path):
    new_method("my-shift", tmp_path / "mine")
    assert sorted(p.name for p in (tmp_path / "mine").rglob("*") if p.is_file()) == [
        "README.md",
        "my_shift.py",
        "pyproject.toml",
        "test_my_shift.py",
    ]
    # The same three lines hold it to the contract on an encoder, whose head it trains and keeps as well.
    (test,) = (tmp_path / "mine").rglob("test_my_shift.py")
    encoder = test.with_name("test_encoder.py")
    encoder.write_text(test.read_text() + '    family = "bert"\n')
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "mine",
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    each = sum(name.startswith("test_") for name in dir(MethodContract))
    assert re.search(rf"\b{2 * each} passed", tested.stdout)
    encoder.unlink()
    # As pip leaves it: the metadata beside the module.
    write_plugin(tmp_path / "mine", {"bench.methods": {"my-shift": "my_shift:MyShift"}}, "my-shift")
    shown = subprocess.run(
        [sys.executable, "-m", "bench", "show", "method", "my-shift"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "mine"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "title: My shift" in shown.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lora", "the method 'lora' is there already, from promptscale"),
        ("Shift", "'Shift' is not a valid name"),
        ("json", "cannot name a Python module"),
        ("class", "cannot name a Python module"),
        ("3shift", "cannot name a Python module"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path, name, said):
    with pytest.raises(BadInput, match=said):
        new_method(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_bench_new_overwrites_nothing(tmp_path):
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(BadInput, match="not empty; choose another folder"):
        new_method("shift", tmp_path)


def test_the_command_takes_a_plugin_and_says_how_to_repeat_the_run(tmp_path):
    file = write(tmp_path / "mine.py", METHOD.format(name="mine"))
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(experiment(tmp_path)))
    assert "2 cells" in CliRunner().invoke(app, ["validate", "x.yaml", "--plugin", file]).output
    shown = CliRunner().invoke(app, ["run", "x.yaml", "--plugin", file, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "mine" in shown.output
    planned = plan("x.yaml", plugins=[file])
    assert planned.manifest.command == f"bench run x.yaml --plugin {file}"
    assert [plugin.file for plugin in planned.manifest.plugins] == [file]
