"""A final's adapter is a real artefact: it answers, it is exported, peft loads it, and it can be looked into."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import one_trial
import pytest
import torch
from listening import Listener
from one_trial import run_cells
from peft import PeftModel
from plugin import write_table, write_tiny_model
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from bench.artifacts import export as exporting
from bench.artifacts.inspection import gradient_figure, inspect_prompt, nearest_rows
from bench.artifacts.loading import load_run
from bench.artifacts.predict import inputs, predict
from bench.artifacts.runs import find_run
from bench.cli import app
from bench.core.errors import BadInput, Unavailable
from bench.runs.record import TrainStep, read_record
from bench.training.session import Session
from bench.training.trial import run_trial

METHODS = ["prompt_tuning", "p_tuning", "lora", "full_fine_tuning", "hard_prompt", "majority"]
TEXTS = ["aknm12", "bmop7"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A results folder with a final of each method on a tiny model, and a model that is another one."""
    folder = tmp_path_factory.mktemp("artifacts")
    write_tiny_model(folder / "tiny")
    shutil.copytree(folder / "tiny", folder / "other")
    network = AutoModelForCausalLM.from_pretrained(folder / "other")
    network.get_input_embeddings().weight.data.add_(0.1)
    network.save_pretrained(folder / "other")
    data = write_table(folder / "data.csv")
    experiment = {
        "name": "demo",
        "models": [{"local": {"path": str(folder / "tiny"), "label": "tiny"}}],
        "datasets": [{"local": {"path": str(data), "template": "{text}\ntype:", "label": "letters"}}],
        "methods": METHODS,
        "training": {"max_steps": 6, "batch_size": 4},
        "study": {"trials": 1},
        "evaluation": {"generations": 0},
    }
    run_cells(folder / "results", experiment, "trial", "final")
    return folder


def record_of(place, method, kind="final"):
    return one_trial.record_of(place / "results", method, kind)


def command(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(done.exception, Exception) and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.mark.parametrize("method", METHODS)
def test_a_final_predicts_what_the_harness_recorded(place, method):
    run = find_run(record_of(place, method))
    loaded = load_run(run)
    answers = predict(loaded, [e.text for e in loaded.splits.test])
    recorded = run.record.predictions
    assert [answer.label for answer in answers] == [recorded.labels[i] for i in recorded.predictions]
    np.testing.assert_allclose([max(a.probabilities.values()) for a in answers], recorded.confidences, atol=2e-5)
    trained = run.adapter is not None
    assert trained == (method not in ("hard_prompt", "majority"))
    assert all((a.base is not None) == trained for a in answers)
    if trained:
        assert any(abs(a.probabilities["yes"] - a.base["yes"]) > 1e-4 for a in answers)


def test_the_command_says_which_adapter_is_active_and_answers_a_text(place):
    run = find_run(record_of(place, "lora"))
    said = command("predict", run.path, "--text", "aknm12")
    assert "active: adapter of lora, final 0" in said
    assert str(run.adapter) in said
    assert "base model alone:" in said
    by_adapter = json.loads(command("predict", run.adapter, "--text", "aknm12", "--text", "bmop7", "--json"))
    assert [row["text"] for row in by_adapter["answers"]] == ["aknm12\ntype:", "bmop7\ntype:"]
    for row in by_adapter["answers"]:
        assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)
        assert sum(row["probabilities"].values()) == pytest.approx(1)


def test_texts_come_from_a_table_or_from_lines(tmp_path):
    table, lines = tmp_path / "t.csv", tmp_path / "t.txt"
    table.write_text("id,title,body\n1,Hello,world {x}\n")
    lines.write_text("one\n\ntwo\n")
    assert inputs("{title}: {body}?", [], table) == ["Hello: world {x}?"]
    assert inputs("{text}!", ["zero"], lines) == ["zero!", "one!", "two!"]


@pytest.mark.parametrize(
    ("template", "texts", "said"),
    [
        ("{text}", [], "nothing to answer"),
        ("{text}", [" "], "--text: the text is empty"),
        ("{a} {b}", ["x"], "the template names the columns a, b; give a table"),
    ],
)
def test_texts_that_cannot_be_read_are_refused(template, texts, said):
    with pytest.raises(BadInput, match=said):
        inputs(template, texts, None)


def test_a_table_without_a_column_is_refused_by_its_place(tmp_path):
    (tmp_path / "t.csv").write_text("texte\nhello\n")
    with pytest.raises(BadInput, match=r"t\.csv, row 2: the template names the column 'text'.*did you mean 'texte'"):
        inputs("{text}", [], tmp_path / "t.csv")


def test_an_adapter_of_another_base_model_is_refused_in_a_line(place):
    run = find_run(record_of(place, "lora"))
    with pytest.raises(BadInput) as caught:
        load_run(run, str(place / "other"))
    assert "belongs to another base model: trained on tiny (revision" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert load_run(run, str(place / "tiny")).base is not None


def test_weights_that_do_not_fit_are_refused_in_a_line(place, tmp_path):
    run = find_run(record_of(place, "prompt_tuning"))
    strange = tmp_path / "adapter"
    shutil.copytree(find_run(record_of(place, "lora")).adapter, strange)
    loaded = load_run(type(run)(run.record, run.path, strange))
    with pytest.raises(BadInput, match="does not fit the base model tiny") as caught:
        predict(loaded, TEXTS)
    assert "\n" not in str(caught.value)


def test_without_its_data_a_trained_run_still_answers(place, monkeypatch):
    expected = predict(load_run(find_run(record_of(place, "prompt_tuning"))), TEXTS)
    (place / "data.csv").rename(place / "gone.csv")
    try:
        assert predict(load_run(find_run(record_of(place, "prompt_tuning"))), TEXTS) == expected
        with pytest.raises(BadInput, match=r"data\.csv: no such file"):
            load_run(find_run(record_of(place, "majority")))
    finally:
        (place / "gone.csv").rename(place / "data.csv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda place: place / "nothing.json", "is no run; expected a record"),
        (lambda place: place / "data.csv", "is no run; expected a record"),
        (lambda place: record_of(place, "lora", "trial"), "the weights of a trial are not kept"),
    ],
)
def test_what_is_no_run_is_refused_in_a_line(place, change, said):
    with pytest.raises(BadInput, match=said):
        find_run(change(place))


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning", "lora"])
def test_peft_loads_an_export_and_gives_the_logits_that_the_harness_measured(place, tmp_path, method):
    run = find_run(record_of(place, method))
    out = tmp_path / "export"
    command("export", run.path, out)
    loaded = load_run(run)
    tuned = loaded.attach()
    loaded.load(tuned)
    tuned.train(False)
    pairs = [(ids, loaded.encoder.label_ids[0]) for ids in loaded.encoder.inputs(loaded.splits.test[:3], None)[0]]
    with torch.no_grad():
        ours = [tuned.logits(loaded.encoder.batch([pair]))[0] for pair in pairs]
    tuned.detach()
    peer = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(place / "tiny"), str(out)).eval()
    for (ids, _), mine in zip(pairs, ours, strict=True):
        with torch.no_grad():
            theirs = peer(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits[0, -1]
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_an_export_names_no_path_of_this_machine_and_answers_by_itself(place, tmp_path):
    run = find_run(record_of(place, "prompt_tuning"))
    out = tmp_path / "export"
    command("export", run.path, out)
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    card = (out / "README.md").read_text()
    assert str(place) not in card
    assert "library_name: peft" in card
    words = ", ".join(f"` {word}`" for word in run.record.predictions.labels)
    assert f"The words take a leading space, as they stand behind the template: {words}." in card
    assert f"accuracy (test split, {len(run.record.predictions.ids)} examples)" in card
    assert find_run(out).record.provenance.host is None
    assert "active: adapter of prompt_tuning" in command("predict", out, "--text", "ak")


def test_a_whole_model_is_exported_with_its_tokenizer_and_loads_by_transformers(place, tmp_path):
    from transformers import AutoTokenizer

    out = tmp_path / "export"
    command("export", record_of(place, "full_fine_tuning"), out)
    assert AutoModelForCausalLM.from_pretrained(out).config.model_type == "llama"
    assert AutoTokenizer.from_pretrained(out)("the")["input_ids"]
    assert "library_name: transformers" in (out / "README.md").read_text()


def test_an_export_is_pushed_only_when_asked_for_and_a_failure_leaves_the_folder(place, tmp_path, monkeypatch):
    asked = []

    class Hub:
        def create_repo(self, name, **options):
            asked.append((name, options["private"]))
            return f"https://hub/{name}"

        def upload_folder(self, **options):
            if options["repo_id"] == "me/down":
                raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    run = record_of(place, "prompt_tuning")
    command("export", run, tmp_path / "quiet")
    assert asked == []
    assert "pushed to https://hub/me/mine" in command("export", run, tmp_path / "loud", "--push-to-hub", "me/mine")
    assert asked == [("me/mine", True)]
    with pytest.raises(Unavailable, match="is written, but cannot be pushed to me/down: no network"):
        exporting.push(tmp_path / "loud", "me/down")


def test_an_export_overwrites_nothing_and_needs_something_to_export(place, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BadInput, match="is not empty"):
        command("export", record_of(place, "lora"), tmp_path)
    with pytest.raises(BadInput, match="majority trains nothing"):
        command("export", record_of(place, "majority"), tmp_path / "new")


def test_nearest_rows_are_those_of_the_highest_cosine():
    generator = torch.Generator().manual_seed(0)
    embedding = torch.nn.Embedding.from_pretrained(torch.randn(5000, 8, generator=generator))
    prompt = torch.cat([3 * embedding.weight[[17, 4999]], torch.randn(3, 8, generator=generator)])
    found, norms = nearest_rows(prompt, embedding)
    peer = torch.nn.functional.cosine_similarity(prompt[:, None], embedding.weight[None], dim=-1)
    assert [index for index, _ in found] == peer.argmax(1).tolist()
    assert [index for index, _ in found][:2] == [17, 4999]
    assert [cosine for _, cosine in found] == pytest.approx(peer.max(1).values.tolist(), abs=1e-5)
    torch.testing.assert_close(norms, embedding.weight.norm(dim=1))


@pytest.mark.parametrize("method", METHODS)
def test_a_final_measures_the_switch_to_its_task(place, method):
    run = find_run(record_of(place, method))
    if run.adapter is None:
        assert run.record.measurements == {}
        return
    files = [file for file in run.adapter.rglob("*") if file.is_file()]
    assert run.record.measurements["task_bytes"] == sum(file.stat().st_size for file in files)
    assert run.record.measurements["task_bytes"] >= run.record.parameters.adapter_bytes
    assert run.record.measurements["task_switch_ms"] > 0
    assert "switch" in run.record.seconds
    trial = read_record(record_of(place, method, "trial"))
    assert trial.measurements == {}, "trials are not measured: their weights are not kept"


def test_a_switch_that_fails_costs_no_result(place, monkeypatch):
    spec = find_run(record_of(place, "prompt_tuning")).record.spec

    def broken(*_):
        raise RuntimeError("no switch")

    monkeypatch.setattr("bench.training.trial_run.measure_switch", broken)
    record = run_trial(spec, Session(), Listener(), None)
    assert (record.status, record.measurements) == ("ok", {})
    assert "no switch" in record.notes["task_switch"]


def test_inspect_compares_the_prompt_before_and_after(place, tmp_path):
    run = find_run(record_of(place, "prompt_tuning"))
    said = command("inspect", run.path, "--out", tmp_path)
    assert "norms of the vocabulary" in said
    assert (tmp_path / "gradient_norm.png").read_bytes()[1:4] == b"PNG"
    rows = list(csv.reader((tmp_path / "virtual_tokens.csv").read_text().splitlines()))
    assert len(rows) == 1 + 20
    inspected, _ = inspect_prompt(load_run(run))
    assert inspected["before to after"].between(-1, 1 - 1e-7).all(), "the prompt was trained"


def test_inspect_of_a_text_prompt_finds_the_text_before_training(place, tmp_path):
    run = find_run(record_of(place, "prompt_tuning"))
    spec = run.record.spec
    options = {**spec.cell.method.options, "init": "text", "init_text": " good bad"}
    method = spec.cell.method.model_copy(update={"options": options})
    spec = spec.model_copy(update={"cell": spec.cell.model_copy(update={"method": method})})
    loaded = load_run(type(run)(run.record.model_copy(update={"spec": spec}), run.path, run.adapter))
    tokens, _ = inspect_prompt(loaded)
    assert list(tokens["token before"][:2]) == ["' good'", "' bad'"]
    assert list(tokens["cosine"]) == pytest.approx([1] * len(tokens), abs=1e-5)


def test_inspect_of_a_method_without_virtual_tokens_draws_the_gradient_alone(place, tmp_path):
    assert "no virtual tokens" in command("inspect", record_of(place, "lora"), "--out", tmp_path)
    assert (tmp_path / "gradient_norm.png").is_file()
    with pytest.raises(BadInput, match="nothing was trained"):
        command("inspect", record_of(place, "majority"), "--out", tmp_path)


@pytest.mark.filterwarnings("error")
def test_the_figure_of_gradients_has_plain_numbers_and_no_letters_that_no_font_has(monkeypatch):
    drawn = []
    monkeypatch.setattr("bench.artifacts.inspection.render", lambda canvas, *_, **__: drawn.append(canvas) or b"")
    curve = [TrainStep(step=n, loss=3 / n, learning_rate=0.1, grad_norm=10.0 ** (1 - n), tokens=9) for n in (1, 2, 3)]
    gradient_figure(curve, "a \U00010348 b")
    (canvas,) = drawn
    canvas.draw_without_rendering()
    upper = canvas.axes[0]
    labels = [tick.get_text() for tick in upper.get_yticklabels()]
    assert upper.get_yscale() == "log" and len(labels) > 1
    assert not any("$" in label for label in labels)
    assert canvas._suptitle.get_text() == "a ? b"
