"""What an answer is: columns of labels, of options, of texts, and the formats of instructions and questions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.datasets.answers import FreeText, LabelWord, Option
from bench.datasets.base import TextDataset
from bench.datasets.examples import Row
from bench.datasets.local import Local

SIZES = {"train_size": 2, "validation_size": 1, "test_size": 1}


def local(tmp_path, rows, **options):
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return Local.parse({"path": str(path), **SIZES, **options}, "x.yaml: datasets[0].local")


def everything(splits):
    return (*splits.train, *splits.validation, *splits.test)


def options_rows(right):
    return [{"text": f"q{i}", "choices": [f"a{i}", f"b{i}", "c"], "label": right(i)} for i in range(4)]


@pytest.mark.parametrize("right", [lambda i: f"b{i}", lambda i: 1, lambda i: "1"], ids=["text", "number", "digit"])
def test_a_right_option_is_named_by_its_text_or_its_number(tmp_path, right):
    splits = local(tmp_path, options_rows(right), options_column="choices").splits()
    assert isinstance(splits.answer, Option)
    assert splits.labels == ()
    for example in everything(splits):
        assert example.answers[example.label] == splits.right(example) == f"b{example.text[1:]}"


def test_options_that_are_numbers_are_named_by_their_text_first(tmp_path):
    rows = [{"text": f"q{i}", "choices": ["2", "1", "0"], "label": "0"} for i in range(4)]
    splits = local(tmp_path, rows, options_column="choices").splits()
    assert {splits.right(example) for example in everything(splits)} == {"0"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "d"}, "'d' is none of the options a0, b0, c; give the option's text, or its number from 0 to 2"),
        ({"label": 3}, "'3' is none of the options"),
        ({"choices": ["a"]}, "expected two or more different options"),
        ({"choices": ["a", "a"]}, "expected two or more different options"),
        ({"choices": ["a", " "]}, "holds an empty text"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_their_row(tmp_path, change, said):
    rows = options_rows(lambda i: 1)
    rows[0] |= change
    with pytest.raises(BadInput, match=r"data\.jsonl, line 1: column") as error:
        local(tmp_path, rows, options_column="choices").splits()
    assert said in str(error.value)


def test_the_same_text_with_other_options_is_another_question(tmp_path):
    rows = [{"text": "q", "choices": ["a", f"b{i}"], "label": 0} for i in range(4)]
    splits = local(tmp_path, rows, options_column="choices").splits()
    assert splits.duplicates == 0
    assert len({example.id for example in everything(splits)}) == 4


def test_rows_of_the_same_question_become_references_of_one_example(tmp_path):
    rows = [{"text": f"q{i % 4}", "says": f"a{i}"} for i in range(8)]
    splits = local(tmp_path, rows, answer_column="says").splits()
    assert isinstance(splits.answer, FreeText)
    found = {example.text: example.answers for example in everything(splits)}
    assert found == {f"q{i}": (f"a{i}", f"a{i + 4}") for i in range(4)}


def test_a_list_is_several_references_in_json_and_in_a_csv(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("text,says\n" + "\n".join(f'q{i},"[""a{i}"", ""b""]"' for i in range(4)) + "\n")
    splits = Local.parse({"path": str(path), "answer_column": "says", **SIZES}, "x").splits()
    assert all(example.answers == (f"a{example.text[1:]}", "b") for example in everything(splits))


def test_a_text_that_merely_begins_like_a_list_is_a_text(tmp_path):
    rows = [{"text": f"q{i}", "says": says} for i, says in enumerate(["[sic] so", "[1, 2]", "[", "[]x"])]
    splits = local(tmp_path, rows, answer_column="says").splits()
    assert {example.answers for example in everything(splits)} == {("[sic] so",), ("[1, 2]",), ("[",), ("[]x",)}


def test_answers_as_squad_writes_them_are_references(tmp_path):
    rows = [{"text": f"q{i}", "says": {"text": ["a", "b"], "answer_start": [0, 5]}} for i in range(4)]
    splits = local(tmp_path, rows, answer_column="says").splits()
    assert {example.answers for example in everything(splits)} == {("a", "b")}


@pytest.mark.parametrize("says", ["", " ", [], ["a", ""], ["a", None], None, {"text": [], "answer_start": []}])
def test_an_empty_answer_is_refused_with_its_row(tmp_path, says):
    rows = [{"text": "q0", "says": "a"}, {"text": "q1", "says": says}]
    with pytest.raises(BadInput, match=r"data\.jsonl, line 2: column 'says' is empty, or holds an empty text"):
        local(tmp_path, rows, answer_column="says").splits()


def test_an_answer_column_that_is_missing_is_said_with_the_nearest(tmp_path):
    with pytest.raises(BadInput, match="answer_column is 'say', which is not there; did you mean 'says'"):
        local(tmp_path, [{"text": "q", "says": "a"}], answer_column="say").splits()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"options_column": "a", "answer_column": "b"}, "options_column and answer_column"),
        ({"label_words": ["a", "b"], "answer_column": "b"}, "label_words: these are answers of every row"),
        ({"generate": {"max_new_tokens": 3}}, "generate is for answers in free text"),
        ({"format": "instruction", "template": "{instruction}"}, "format instruction brings its own"),
        ({"format": "instrction"}, "format"),
        ({"metrics": []}, "name at least one"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, said):
    with pytest.raises(BadInput, match=said):
        Local.parse({"path": "x.csv", **options}, "x")


ROWS = [{"instruction": f"写{i}", "input": "" if i % 2 else f"文{i}", "output": f"好{i}"} for i in range(4)]


@pytest.mark.parametrize(
    ("name", "with_input", "without"),
    [
        ("instruction", "Human: 写0\n文0\n\nAssistant: ", "Human: 写1\n\nAssistant: "),
        ("chat", "写0\n文0", "写1"),
        (
            "alpaca",
            "Below is an instruction that describes a task, paired with an input that provides further context. Write "
            "a response that appropriately completes the request.\n\n### Instruction:\n写0\n\n### Input:\n文0\n\n"
            "### Response:\n",
            "Below is an instruction that describes a task. Write a response that appropriately completes the request."
            "\n\n### Instruction:\n写1\n\n### Response:\n",
        ),
    ],
)
def test_a_format_of_instructions_writes_what_its_guide_writes(tmp_path, name, with_input, without):
    dataset = local(tmp_path, ROWS, format=name)
    texts = {example.answers: example.text for example in everything(dataset.splits())}
    assert texts["好0",] == with_input
    assert texts["好1",] == without
    assert dataset.answer.chat == (name == "chat")


def test_instructions_need_no_column_of_inputs(tmp_path):
    rows = [{"instruction": row["instruction"], "output": row["output"]} for row in ROWS]
    texts = {example.text for example in everything(local(tmp_path, rows, format="instruction").splits())}
    assert texts == {f"Human: 写{i}\n\nAssistant: " for i in range(4)}


def test_questions_stand_behind_their_context(tmp_path):
    rows = [{"context": "" if i else "c", "question": f"q{i}?", "answers": ["a", "b"]} for i in range(4)]
    texts = {example.text for example in everything(local(tmp_path, rows, format="question_answer").splits())}
    assert texts == {"c\nQuestion: q0?\nAnswer:", *(f"Question: q{i}?\nAnswer:" for i in range(1, 4))}


def test_studies_optimise_the_likelihood_unless_it_is_named_behind_another_metric(tmp_path):
    def names(**options):
        return [one.name for one in local(tmp_path, ROWS, format="instruction", **options).metrics]

    assert names() == ["nll", "f1_squad"]
    assert names(metrics=["rouge_l", "chrf"]) == ["nll", "rouge_l", "chrf"]
    assert names(metrics=["rouge_l", "nll"]) == ["rouge_l", "nll"]


def test_what_younger_options_say_nothing_about_leaves_no_trace_in_a_hash():
    dumped = Local(path="x.csv").model_dump(mode="json")
    younger = {"options_column", "answer_column", "format", "loss_on", "max_answer_tokens", "generate"}
    assert younger.isdisjoint(dumped)
    assert [one["name"] for one in dumped["metrics"]] == ["accuracy", "f1_macro"]
    assert isinstance(Local(path="x.csv").answer, LabelWord)
    assert Local(path="x.csv", answer_column="a", loss_on="all").model_dump()["loss_on"] == "all"


class Pairs(TextDataset):
    """Rows that a test gives."""

    given: list[tuple[str, str]] = []

    def rows(self):
        return [Row({"text": text}, answers=(answer,)) for text, answer in self.given]


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=6, max_size=30), st.randoms())
def test_no_reference_is_lost_whatever_the_texts_and_their_order(given_rows, random):
    dataset = Pairs(given=given_rows, validation_size=1, test_size=1)
    try:
        splits = dataset.splits()
    except BadInput:  # fewer than three questions
        return
    kept = {answer for example in everything(splits) for answer in example.answers}
    assert kept == {answer for _, answer in given_rows}
    random.shuffle(given_rows)
    assert Pairs(given=given_rows, validation_size=1, test_size=1).splits() == splits
