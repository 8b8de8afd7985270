"""`bench doctor --security`: an experiment is looked at, and nothing of it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli.security import show_security
from bench.core.errors import BadInput
from bench.core.packages import file_sha256
from bench.experiment.schema import Experiment
from bench.security import examine

COMMIT = "0123456789abcdef" * 2 + "01234567"
SST2 = {"label_words": ["bad", "good"], "template": "{sentence}", "label_column": "label"}


@pytest.fixture(autouse=True)
def nothing_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@index.example/simple")
    monkeypatch.chdir(tmp_path)


def look(**changes) -> dict[tuple[str, str], tuple[str, str]]:
    data = {"name": "x", "models": ["glasslm-0.9m"], "datasets": ["trec6"], "methods": ["zero_shot"], **changes}
    items = examine(Experiment.model_validate(data), "x.yaml")
    return {(item.kind, item.name): (item.trust, item.says) for item in items}


def test_a_branch_is_no_pin_and_a_commit_is():
    models = ["bigscience/bloomz-560m", {"hub": {"id": "openai-community/gpt2", "revision": COMMIT}}]
    data = [{"hub": {"id": "stanfordnlp/sst2", **SST2}}, {"hub": {"id": "a/b", "revision": COMMIT, **SST2}}]
    found = look(models=models, datasets=data)
    assert found["model", "bloomz-560m"][0] == "changes" and "'main'" in found["model", "bloomz-560m"][1]
    assert found["model", "gpt2"][0] == "pinned" and COMMIT in found["model", "gpt2"][1]
    assert found["data set", "sst2"][0] == "changes"
    assert found["data set", "b"][0] == "pinned"
    assert ("host", "huggingface.co") in found


def test_a_wheel_is_known_by_its_sha256_and_comes_from_the_index_that_pip_asks():
    found = look()
    assert found["model", "glasslm-0.9m"][0] == "pinned"
    assert "1611801c031d0fc300dc89d3c07cd6be56dc1784e38e24422b2242d0761a333b" in found["model", "glasslm-0.9m"][1]
    assert "glassllm" in found["host", "index.example"][1]


@pytest.mark.parametrize(("name", "trust"), [("model.safetensors", "pinned"), ("pytorch_model.bin", "changes")])
def test_the_format_of_weights_is_said(tmp_path, name, trust):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / name).write_bytes(b"weights")
    level, says = look(models=[{"local": {"path": str(folder)}}])["model", "m"]
    assert level == trust
    assert ("pickles" in says) == (trust == "changes") and "safetensors" in says


def test_plug_ins_are_hashed_and_not_run(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("from pathlib import Path\nPath('was_run').touch()\n")
    found = look(plugins=["mine.py", "gone.py"], methods=["mine"])
    assert found["plug-in", "mine.py"][0] == "code" and file_sha256(plugin) in found["plug-in", "mine.py"][1]
    assert "is not there" in found["plug-in", "gone.py"][1]
    assert found["method", "mine"][0] == "code"
    assert not (tmp_path / "was_run").exists()


def test_entry_points_of_installed_packages_are_named_and_not_imported(tmp_path, monkeypatch):
    from importlib.metadata import EntryPoint

    point = EntryPoint("theirs", "no_such_module:Theirs", "bench.methods")
    monkeypatch.setattr("bench.security.entry_points", lambda group: [point] if group == point.group else [])
    assert look(methods=["theirs"])["entry point", "theirs"][0] == "code"
    trust, says = look()["entry point", "theirs"]
    assert trust == "note" and "no_such_module:Theirs" in says


def test_code_of_a_metric_and_of_a_model_is_named():
    metric = {"hub": {"id": "someone/metric", "trust_remote_code": True}}
    found = look(datasets=[{"trec6": {"metrics": [metric]}}], trust_remote_code=True)
    assert found["metric", "metric"][0] == "code"
    assert found["remote code", "trust_remote_code"][0] == "code"
    assert look()["remote code", "trust_remote_code"][1].startswith("off")


def test_a_database_is_named_without_its_password(tmp_path, capsys):
    url = "postgresql+psycopg://me:secret@db.example:5432/x"
    file = tmp_path / "x.yaml"
    data = {"name": "x", "models": ["glasslm-0.9m"], "datasets": ["trec6"], "methods": ["zero_shot"]}
    file.write_text(yaml.safe_dump({**data, "study": {"storage": url}}))
    show_security(file, as_json=True)
    said = capsys.readouterr().out
    found = {(item["kind"], item["name"]): item for item in json.loads(said)["items"]}
    assert ("host", "db.example") in found and ("storage", "postgresql+psycopg://me:***@db.example:5432/x") in found
    assert ("folder", str(Path("results") / "x")) in found and ("folder", str(tmp_path / "cache")) in found
    show_security(file, as_json=False)
    assert "secret" not in said + capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [file]  # nothing was fetched or written


def test_trackers_are_named_with_whom_they_tell():
    found = look(trackers=["tensorboard", {"mlflow": {"tracking_uri": "https://me:secret@mlflow.example:5000"}}])
    assert ("tracker", "tensorboard") in found
    assert "https://me:***@mlflow.example:5000" in found["tracker", "mlflow"][1]
    assert "mlflow is sent" in found["host", "mlflow.example"][1]


def test_what_cannot_be_is_said_as_for_a_run(tmp_path):
    with pytest.raises(BadInput, match=r"x.yaml: models\[0\].glasslm-0.9m.sise: unknown key"):
        look(models=[{"glasslm-0.9m": {"sise": 1}}])
    with pytest.raises(BadInput, match="no such file"):
        show_security(tmp_path / "none.yaml", as_json=True)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60))
def test_any_text_as_a_revision_is_no_commit_unless_it_is_one(revision):
    if not revision:
        return
    (model,) = [
        says for (kind, _), (says, _) in look(models=[{"hub": {"id": "a/b", "revision": revision}}]).items()
        if kind == "model"
    ]  # fmt: skip
    assert model == "changes"
