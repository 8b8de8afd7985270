from __future__ import annotations

import csv
import datetime
import itertools
import json
import string
from decimal import Decimal

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.datasets import datasets

HEADER = "text,label\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file in the current directory and return a data set of it."""
    monkeypatch.chdir(tmp_path)

    def make(content, name="data.csv", **options):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return datasets.build("local", {"path": name, **options}, "x.yaml: datasets[0].local")

    return make


def lines(number=20):
    return "".join(f"text {i},{'spam' if i % 2 else 'ham'}\n" for i in range(number))


def pairs(splits):
    everything = (*splits.train, *splits.validation, *splits.test)
    return {(example.text, splits.labels[example.label]) for example in everything}


def test_a_csv_file_becomes_splits_with_the_values_found_as_label_words(write):
    splits = write(HEADER + lines()).splits()
    assert splits.labels == ("ham", "spam")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (14, 2, 4)
    assert ("text 3", "spam") in pairs(splits)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_every_kind_of_file_gives_the_same_splits(write, tmp_path, suffix):
    expected = write(HEADER + lines()).splits()
    rows = [{"text": f"text {i}", "label": "spam" if i % 2 else "ham"} for i in range(20)]
    if suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
        content = (tmp_path / "rows.parquet").read_bytes()
    elif suffix == ".json":
        content = json.dumps(rows, indent=1)
    elif suffix == ".jsonl":
        content = "\n".join(map(json.dumps, rows)) + "\n\n"
    else:
        content = (HEADER + lines()).replace(",", "\t" if suffix == ".tsv" else ",")
    assert write(content, f"data{suffix}").splits() == expected


cell = st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip)


odd = st.sampled_from(["NA", "null", "007", "1e5", "{text}", "<script>"])


@settings(max_examples=50, deadline=None)
@given(cells=st.lists(cell | odd, min_size=9, max_size=20))
def test_a_csv_cell_may_hold_anything_and_stays_text(tmp_path_factory, cells):
    file = tmp_path_factory.mktemp("csv") / "any.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["id", "text", "label"])
        table.writerows([i, cell, i % 2] for i, cell in enumerate(cells))
    dataset = datasets.build("local", {"path": str(file), "template": "{id}: {text}", "test_size": 2}, "x")
    expected = {(f"{i}: {cell}", str(i % 2)) for i, cell in enumerate(cells)}
    assert pairs(dataset.splits()) == expected


def test_a_byte_order_mark_is_no_part_of_the_first_column(write):
    assert write("\ufeff" + HEADER + lines()).splits().labels == ("ham", "spam")


def test_label_words_map_values_to_words_in_the_order_of_the_file(write):
    splits = write("text,label\n" + "".join(f"t{i},{i % 3}\n" for i in range(20)), label_words={2: "x", 0: "y", 1: "x"})
    assert splits.splits().labels == ("x", "y")
    assert ("t2", "x") in pairs(splits.splits())
    assert ("t0", "y") in pairs(splits.splits())


def test_data_whose_labels_have_another_order_are_other_data(write):
    table = "text,label\n" + "".join(f"t{i},{i % 3}\n" for i in range(20))
    plain = write(table).pin()
    assert write(table, label_words={0: "y", 1: "x", 2: "z"}).pin() == plain, "as before there was a choice"
    assert write(table, label_words={0: "y", 2: "y", 1: "x"}).pin() == plain, "the same labels in the same order"
    others = [
        write(table, label_words=dict(order)).pin()
        for order in itertools.permutations({0: "y", 1: "x", 2: "z"}.items())
    ]
    assert len({*others}) == 6
    assert write(table, label_words=["2", "1", "0"]).pin() != write(table, label_words=["0", "1", "2"]).pin() == plain


def test_a_list_of_label_words_fixes_their_order(write):
    assert write(HEADER + lines(), label_words=["spam", "ham"]).splits().labels == ("spam", "ham")


def test_values_of_json_are_taken_as_json_writes_them(write):
    rows = [{"text": f"t{i}", "score": i, "label": i % 2 == 0} for i in range(10)]
    dataset = write("\n".join(map(json.dumps, rows)), "a.jsonl", template="{text} {score}")
    assert ("t3 3", "false") in pairs(dataset.splits())


def test_half_a_surrogate_pair_is_replaced(write):
    dataset = write(
        "".join(f'{{"text": "\\ud800 {i}", "label": {i % 2}}}\n' for i in range(10)),
        "a.jsonl",
    )
    assert ("? 1", "1") in pairs(dataset.splits())


def test_ready_made_validation_and_test_files_are_kept(write, tmp_path):
    (tmp_path / "val.csv").write_text("text,label\nv0,ham\nv1,spam\n")
    (tmp_path / "test.csv").write_text("text,label\nt0,ham\nTEXT 0,ham\n")
    splits = write(HEADER + lines(), validation_path="val.csv", test_path="test.csv").splits()
    assert {example.text for example in splits.validation} == {"v0", "v1"}
    assert {example.text for example in splits.test} == {"t0", "TEXT 0"}
    assert (len(splits.train), splits.duplicates) == (19, 1)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, r"data.csv: there are no rows in it"),
        (HEADER, {}, r"data.csv: there are no rows in it"),
        (
            "txt,label\n" + lines(),
            {},
            r"data.csv, row 2: the template .* 'text'.*did you mean 'txt'\? \(columns: txt",
        ),
        ("text,labels\n" + lines(), {}, r"data.csv, row 2: label_column is 'label'.*did you mean 'labels'\?"),
        (HEADER + "a,ham\n ,spam\n", {}, r"data.csv, row 3: the text is empty \(column 'text'\)"),
        (HEADER + "a,ham\nb,\n", {}, r"data.csv, row 3: column 'label' is empty"),
        (HEADER + "a,ham\nb,spm\n", {"label_words": ["ham", "spam"]}, r"row 3: the label 'spm'.*did you mean 'spam'"),
        (HEADER + "a,ham\nb,ham\n", {}, r"data.csv: column 'label' has one label only, 'ham'; two are needed"),
        (HEADER + "a,1\nb,2\n", {"label_words": {1: "x", 2: "x", 3: "y"}}, r"has one label only, 'x'; two are needed"),
        ("text;label\na;ham\n", {}, r"data.csv, row 1: one column, 'text;label'; columns are divided by ','"),
        (HEADER + '"a" b,ham\n', {}, r"data.csv, row 2: .* within quotes a quote is written twice"),
        (HEADER + "a,ham\nb,spam,c\n", {}, r"data.csv, row 3: 3 cells, but the header has 2"),
        (HEADER + 'a,ham\n"b,spam\n', {}, r"data.csv, row 3: unexpected end of data"),
        ("text,text\na,b\n", {}, r"data.csv, row 1: the column 'text' is there twice"),
        (b"text,label\n\xff,ham\n", {}, r"data.csv: not UTF-8 \(byte 11\)"),
        (HEADER + lines(), {"test_size": 50}, r"data.csv: test_size 50 .* is more than the 20 rows"),
    ],
)
def test_a_csv_that_is_wrong_is_answered_with_file_row_and_column(write, content, options, message):
    with pytest.raises(BadInput, match=message):
        write(content, **options).splits()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a", "label": "b"}\n\n{"text": \n', r"a.jsonl, line 3: not JSON: Expecting value"),
        ("a.jsonl", "[1]\n", r"a.jsonl, line 1: expected an object"),
        ("a.jsonl", '{"text": null, "label": "b"}\n', r"a.jsonl, line 1: the text is empty"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": "a"}\n', r"a.jsonl, line 2: label_column is 'label'"),
        ("a.json", "[]", r"a.json: there are no rows in it"),
        ("a.json", '{"text": "a"}', r"a.json, line 1: expected an array of objects such as "),
        ("a.json", '[{"text": "a", "label": "b"}, 3]', r"a.json, row 2: expected an object such as "),
        ("a.json", '[{"text": "a"},\n]', r"a.json, line 2: not JSON: .* at character 1"),
        (
            "a.json",
            '{"text": "a"}\n{"text": "b"}',
            r"Extra data .*; a file of one object a line is called .jsonl",
        ),
        ("a.json", "[" * 100_000, r"a.json, line 1: .*recursion"),
        ("a.jsonl", '{"text": ' + "[" * 100_000, r"a.jsonl, line 1: .*recursion"),
        ("a.json", "[" + "9" * 5000 + "]", r"a.json, line 1: .* digits"),
        ("a.jsonl", "9" * 5000, r"a.jsonl, line 1: .* digits"),
        ("a.jsn", "[]", r"a.jsn: unknown kind of file; did you mean '.json'\?"),
        ("data", "", r"data: unknown kind of file; known are .csv, .json, .jsonl, .ndjson, .parquet, .tsv"),
        ("a.parquet", "no parquet", r"a.parquet, row 1: cannot be read as Parquet"),
    ],
)
def test_any_other_file_that_is_wrong_is_answered_with_its_place(write, name, content, message):
    with pytest.raises(BadInput, match=message):
        write(content, name).splits()


def test_a_missing_file_is_named(write):
    dataset = write(HEADER + lines(), test_path="nowhere.csv")
    with pytest.raises(BadInput, match=r"nowhere.csv: no such file; a path is relative to the folder"):
        dataset.splits()


def test_a_folder_is_not_read_as_a_file(write, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(BadInput, match=r"folder.csv: is a folder, and a file is needed"):
        write(HEADER + lines(), test_path="folder.csv").splits()


@pytest.mark.parametrize("words", [{"a": True, "b": "no"}, {True: "a", False: "b"}, [True, False]])
def test_booleans_of_yaml_are_refused_as_label_words(words):
    with pytest.raises(BadInput, match=r"x\.label_words: put quotes around yes, no"):
        datasets.build("local", {"path": "a.csv", "label_words": words}, "x")


@pytest.mark.parametrize("words", [{0: ["bad", "awful"], 1: "good"}, {0: None, 1: "good"}, [{"yes": "good"}, "bad"]])
def test_only_words_are_label_words(words):
    with pytest.raises(BadInput, match=r"x\.label_words: expected a word for each value of the label column, found"):
        datasets.build("local", {"path": "a.csv", "label_words": words}, "x")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Text: {text} Label: {label}", r"template: \{label\} is the column of the answers, and gives them away"),
        ("{text} and {other", r"a brace without its partner; one that is meant is written twice"),
        ("{text} {}", r"a brace without its partner"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(template, message):
    with pytest.raises(BadInput, match=message):
        datasets.build("local", {"path": "a.csv", "template": template}, "x")


def test_two_metrics_of_one_label_are_refused():
    with pytest.raises(BadInput, match="the label 'accuracy' is used twice"):
        datasets.build("local", {"path": "a.csv", "metrics": ["accuracy", "accuracy"]}, "x")


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x.csv", "a\0b.csv", "x" * 5000 + ".csv"])
def test_what_is_no_path_is_answered_clearly(path):
    with pytest.raises(BadInput):
        datasets.build("local", {"path": path}, "x").splits()


def test_a_text_of_any_length_is_read(write):
    content = HEADER + "".join(f"{'long ' * 50_000}{i},{i % 2}\n" for i in range(4))
    assert len(write(content, validation_size=1, test_size=1).splits().train) == 2


def test_what_parquet_holds_is_read_as_people_write_it_and_nan_is_missing(tmp_path):
    path = tmp_path / "a.parquet"
    made = {
        "text": ["a", "b", "c", "d"],
        "when": [datetime.date(2024, 1, 1)] * 4,
        "label": [Decimal(0), Decimal(1)] * 2,
        "score": [float("nan")] * 4,
    }
    pyarrow.parquet.write_table(pyarrow.table(made), path)
    sizes = {"validation_size": 1, "test_size": 1}
    splits = datasets.build("local", {"path": str(path), "template": "{when} {text}{score}", **sizes}, "x").splits()
    assert splits.labels == ("0", "1")
    assert {text for text, _ in pairs(splits)} <= {f"2024-01-01 {letter}" for letter in "abcd"}


@pytest.mark.parametrize("words", [{"a": "same", "b": "same"}, ["one"], {"a": " ", "b": "c"}])
def test_fewer_than_two_label_words_are_refused(words):
    with pytest.raises(BadInput, match=r"x\.label_words: expected two or more different words"):
        datasets.build("local", {"path": "a.csv", "label_words": words}, "x")


def test_many_labels_work(write):
    content = HEADER + "".join(f"text {i},{string.ascii_letters[i % 50]}\n" for i in range(500))
    assert len(write(content).splits().labels) == 50


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([f"{i / 7:.4f}" for i in range(1, 81)], "column 'label' holds numbers such as 0.1429, and labels are classes"),
        (["0.5", "1.25", *(str(i) for i in range(38))] * 2, "column 'label' holds numbers such as 0.5"),
        ([f"an answer of its own {i}" for i in range(40)], "column 'label' has 40 different values in 40 rows"),
        ([f"answer {i // 2}" for i in range(30)] + list("abcdef"), "column 'label' has 21 different values in 36 rows"),
    ],
)
def test_a_column_that_holds_no_classes_is_refused(write, labels, message):
    content = HEADER + "".join(f"text {i},{label}\n" for i, label in enumerate(labels))
    with pytest.raises(BadInput, match=message):
        write(content).splits()


@pytest.mark.parametrize("labels", [["0.0", "1.0"] * 20, ["0.5", "2.5"] * 20, [str(i) for i in range(10)] * 2])
def test_numbers_that_are_classes_are_labels(write, labels):
    content = HEADER + "".join(f"text {i},{label}\n" for i, label in enumerate(labels))
    assert write(content, validation_size=4, test_size=4).splits().labels == tuple(sorted(set(labels)))


def test_label_words_that_are_listed_are_taken_at_their_word(write):
    words = [f"answer {i}" for i in range(30)]
    content = HEADER + "".join(f"text {i},{word}\n" for i, word in enumerate(words))
    assert write(content, label_words=words, validation_size=4, test_size=4).splits().labels == tuple(words)
