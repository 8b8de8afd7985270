"""A final that writes free text, asked by `bench predict`, and its model card."""

from __future__ import annotations

import json

import pytest
from one_trial import record_of, run_cells
from plugin import write_tiny_model
from test_artifacts import command

from bench.artifacts.predict import _pieces
from bench.core.errors import BadInput

QUESTION = "Human: say b7\n\nAssistant: "


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A results folder with a final of three methods that write."""
    folder = tmp_path_factory.mktemp("written")
    write_tiny_model(folder / "tiny")
    rows = [{"instruction": f"say {'ab'[i % 2]}{i}", "output": ["a dog", "a fox"][i % 2]} for i in range(40)]
    (folder / "data.json").write_text(json.dumps(rows))
    data = {
        "path": str(folder / "data.json"),
        "format": "instruction",
        "label": "told",
        "metrics": ["nll", "f1_squad"],
        "generate": {"max_new_tokens": 6},
        "validation_size": 6,
        "test_size": 6,
    }
    experiment = {
        "name": "demo",
        "models": [{"local": {"path": str(folder / "tiny"), "label": "tiny"}}],
        "datasets": [{"local": data}],
        "methods": ["prompt_tuning", "hard_prompt", "nearest_answer"],
        "training": {"max_steps": 6, "batch_size": 4},
        "study": {"trials": 1},
        "evaluation": {"keep_texts": True},
    }
    run_cells(folder / "results", experiment, "final")
    return folder / "results"


@pytest.mark.parametrize("method", ["prompt_tuning", "hard_prompt", "nearest_answer"])
def test_a_final_writes_what_the_harness_recorded(place, method):
    kept = json.loads(record_of(place, method).read_text())["answers"]["texts"]
    asked = [text["question"].removeprefix("Human: ").removesuffix("\n\nAssistant: ") for text in kept]
    arguments = [part for text in asked for part in ("--text", text)]
    found = json.loads(command("predict", record_of(place, method), *arguments, "--json"))["answers"]
    assert [one["text"] for one in found] == [text["question"] for text in kept]
    assert [one["answer"] for one in found] == [text["answer"] for text in kept]
    assert all((one["base"] is not None) == (method == "prompt_tuning") for one in found)


def test_an_answer_is_shown_while_it_is_written_and_the_base_models_beside_it(place):
    found = json.loads(command("predict", record_of(place, "prompt_tuning"), "--text", "say b7", "--json"))["answers"]
    said = command("predict", record_of(place, "prompt_tuning"), "--text", "say b7")
    assert QUESTION.strip() in said
    assert found[0]["answer"].strip() in said
    assert "base model alone:" in said


def test_a_table_is_answered_in_json_lines_by_its_own_columns(place, tmp_path):
    (tmp_path / "t.json").write_text(json.dumps([{"instruction": "say b7"}, {"instruction": "say", "input": "a1"}]))
    lines = command("predict", record_of(place, "hard_prompt"), "--file", tmp_path / "t.json").splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["text"] for one in found] == [QUESTION, "Human: say\na1\n\nAssistant: "]
    assert all(one["ended"] in ("end", "stop", "limit") for one in found)


def test_several_finals_answer_in_one_call(place):
    both = [record_of(place, method) for method in ("prompt_tuning", "nearest_answer")]
    found = json.loads(command("predict", *both, "--text", "say b7", "--json"))
    assert [one["active"].partition(",")[0] for one in found] == ["adapter of prompt_tuning", "nearest_answer"]
    assert found[1]["answers"][0]["answer"] in ("a dog", "a fox")


def test_settings_of_generation_may_be_others_and_wrong_ones_are_refused(place):
    def answer(*settings):
        arguments = [part for one in settings for part in ("--set", one)]
        return command("predict", record_of(place, "hard_prompt"), "--text", "say b7", "--json", *arguments)

    (short,), (long,) = (json.loads(answer(f"max_new_tokens={tokens}"))["answers"] for tokens in (1, 6))
    assert long["answer"].startswith(short["answer"]) and short != long
    with pytest.raises(BadInput, match=r"generate\.temperature: .*found -1"):
        answer("temperature=-1")


def test_the_card_says_that_the_model_writes(place, tmp_path):
    command("export", record_of(place, "prompt_tuning"), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert 'It writes the answer, and then its end token. Answers were written with `{"max_new_tokens":6}`.' in card
    assert "nll (test split, 6 examples)" in card
    assert "label word" not in card and "text-classification" not in card


def test_a_character_of_several_tokens_is_told_once_it_is_whole():
    class Bytes:
        def decode(self, ids, skip_special_tokens):
            return bytes(ids).decode(errors="replace")

    told = []
    tell = _pieces(Bytes(), told.append)
    for byte in "a\u732b!".encode():
        tell(0, byte)
    assert told == ["a", "\u732b", "!"]
