"""What `bench validate` and `bench run` know of a cell before anything runs."""

from __future__ import annotations

import json

import pytest
from plugin import write_tiny_model
from typer.testing import CliRunner

from bench.api import execute, plan
from bench.cli import app
from bench.core.errors import BadInput
from bench.experiment.preparing import infeasible_cells, source_cautions
from bench.models import models
from bench.testing.tiny import tiny_network

ROWS = [f"word {i},{'good' if i % 2 else 'bad'}" for i in range(40)]


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Return a function that plans an experiment on a tiny model and a table of forty rows."""
    monkeypatch.chdir(tmp_path)
    write_tiny_model(tmp_path / "model")

    def make(rows=ROWS, method="lora", **dataset):
        (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
        table = {"path": "data.csv", "validation_size": 4, "test_size": 8, **dataset}
        return plan(
            {
                "name": "looked-at",
                "models": [{"local": {"path": "model"}}],
                "datasets": [{"local": table}],
                "methods": ["majority", method],
                "training": {"max_steps": 2},
                "study": {"trials": 2},
                "finals": {"seeds": 1},
            }
        )

    return make


def test_data_that_are_as_they_are_described_give_no_word(experiment):
    assert list(source_cautions(experiment().cells)) == []


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"path": "other.csv"}, "other.csv: no such file"),
        ({"template": "{txt}"}, "the template names the column 'txt', which is not there; did you mean 'text'"),
        ({"label_words": {"good": "yes", "fine": "no"}}, "the label 'bad' in column 'label' is not in label_words"),
        ({"test_size": 60}, "test_size 60 .* is more than the 40 rows"),
    ],
)
def test_data_that_are_not_are_bad_input_to_validate_too(experiment, dataset, message):
    with pytest.raises(BadInput, match=message):
        list(source_cautions(experiment(**dataset).cells))


def test_labels_with_too_few_rows_are_named(experiment):
    said = list(source_cautions(experiment(rows=[*ROWS, "a word of its own,odd"]).cells))
    assert any("has the label 'odd'" in line for line in said)


def test_more_virtual_tokens_than_the_context_holds_make_a_cell_infeasible_before_a_trial(experiment):
    method = {"prompt_tuning": {"num_virtual_tokens": 5000, "search": {"num_virtual_tokens": 5000}}}
    planned = experiment(method=method)
    ((path, reason),) = infeasible_cells(planned.cells).items()
    assert "5000 virtual tokens and a label of" in reason and "leave no room for text" in reason
    records = execute(planned)
    (only,) = [record for record in records if record.cell_path == path]
    assert (only.status, only.reason, only.seconds) == ("infeasible", reason, {})
    assert [record.status for record in records if record.cell_path != path] == ["ok"]
    assert [record.started_at for record in execute(planned) if record.cell_path == path] == [only.started_at]


def test_validate_says_it_on_the_command_line(experiment, tmp_path):
    experiment(rows=["word 1,good", *ROWS])
    (tmp_path / "e.yaml").write_text(
        "name: said\nmodels: [{local: {path: model}}]\nmethods: [majority, lora]\n"
        "datasets: [trec6, {local: {path: data.csv, validation_size: 4, test_size: 400}}]\n"
    )
    refused = CliRunner().invoke(app, ["validate", "e.yaml"])
    assert refused.exit_code == 2 or isinstance(refused.exception, BadInput)
    good = CliRunner().invoke(app, ["validate", "e.yaml", "--set", "datasets.1.local.test_size=8"])
    assert good.exit_code == 0 and "valid; experiment 'said', 4 cells" in good.output


def test_a_run_in_which_nothing_could_run_is_no_success(experiment, tmp_path):
    experiment()
    (tmp_path / "e.yaml").write_text(
        "name: none\nmodels: [{local: {path: model}}]\nmethods: [{lora: {target_modules: [nonexist]}}]\n"
        "datasets: [{local: {path: data.csv, validation_size: 4, test_size: 8}}]\nworkers: 1\nengine: inline\n"
    )
    done = CliRunner().invoke(app, ["run", "e.yaml"])
    assert done.exit_code == 1 and "no layer is called 'nonexist'" in done.output
    beside = CliRunner().invoke(app, ["run", "e.yaml", "--set", "methods=[majority, {lora: {target_modules: [nix]}}]"])
    assert beside.exit_code == 0, "a row of the table that says why it is empty"


def test_a_model_that_is_not_there_is_bad_input_to_validate(experiment, tmp_path):
    experiment()
    (tmp_path / "e.yaml").write_text("name: none\nmodels: [{local: {path: nix}}]\ndatasets: [trec6]\nmethods: [lora]\n")
    with pytest.raises(BadInput, match=r"local\.path: nix is not a folder"):
        CliRunner().invoke(app, ["validate", "e.yaml"], catch_exceptions=False)


def test_relative_positions_are_no_limit(experiment, tmp_path):
    """T5's own configuration names 512 of them, which it does not need."""
    tiny_network("t5").save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"n_positions": 512}))
    models.build("local", {"path": "model"}, "models[0]").check()
    planned = experiment(method={"prompt_tuning": {"num_virtual_tokens": 512, "search": {"num_virtual_tokens": 512}}})
    assert infeasible_cells(planned.cells) == {}


def test_a_greatest_length_that_no_label_fits_into_is_said_before_a_trial(experiment):
    planned = experiment(method={"lora": {"training": {"max_length": 1}}})
    (reason,) = infeasible_cells(planned.cells).values()
    assert reason.startswith("training.max_length: a label of ")


def test_a_decoder_without_a_head_in_its_file_is_a_decoder_and_an_encoder_is_refused(experiment, tmp_path):
    """What ``GPT2Model.save_pretrained`` writes is loaded with the head of a language model, tied to its embeddings."""
    free = {"answer_column": "label", "template": "{text}", "generate": {"max_new_tokens": 4}}
    for family, refused in (("gpt2", False), ("bert", True)):
        tiny_network(family).base_model.save_pretrained(tmp_path / "model")
        models.build("local", {"path": "model"}, "models[0]").check()
        reasons = infeasible_cells(experiment(**free).cells).values()
        assert any("an encoder answers by a head" in reason for reason in reasons) is refused, family
