from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.datasets import Dataset
from bench.datasets.examples import Row, Split
from bench.datasets.splits import accuracy_caution
from bench.datasets.splitting import normalised

WORDS = ("red", "green", "blue")


class Toy(Dataset):
    given: tuple[tuple[str, int, Split | None], ...]
    label_words: tuple[str, ...] = WORDS
    validation_size: int | None = 3
    test_size: int | None = 5

    def rows(self):
        return [Row({"text": text}, label, split) for text, label, split in self.given]


def toy(rows, **options):
    return Toy.parse({"given": rows, **options}, "toy")


def distinct(number, labels=3):
    return [(f"text {i}", i % labels, None) for i in range(number)]


def texts(examples):
    return [normalised(example.text) for example in examples]


quick = settings(max_examples=40, deadline=None)

# Few letters, so that duplicates happen; some differ in case, in spaces or in Unicode form only.
any_text = st.text("aAbBß ﬁ\u00a0{}", min_size=1, max_size=4)
any_rows = st.lists(st.tuples(any_text, st.integers(0, 2), st.none()), max_size=30)
any_split = st.sampled_from([None, "train", "validation", "test"])


@quick
@given(st.lists(st.tuples(any_text, st.integers(0, 2), any_split), min_size=20, max_size=60))
def test_splits_are_disjoint_by_text_and_lose_nothing_but_duplicates_and_conflicts(rows):
    try:
        splits = toy(rows, validation_size=None, test_size=None).splits()
    except BadInput:
        return  # too few rows are left to draw from; sizes have tests of their own
    parts = [texts(splits.train), texts(splits.validation), texts(splits.test)]
    everything = [text for part in parts for text in part]
    assert len(everything) == len(set(everything)) == len(rows) - splits.duplicates
    highest = {}
    for text, label, split in rows:
        highest.setdefault(normalised(text), {}).setdefault(split or "train", set()).add(label)
    where = {
        text: next(found[name] for name in ("test", "validation", "train") if name in found)
        for text, found in highest.items()
    }
    assert set(everything) == {text for text, labels in where.items() if len(labels) == 1}
    conflicting = [text for text, labels in where.items() if len(labels) > 1]
    assert splits.conflicting == sum(normalised(text) in conflicting for text, _, _ in rows)


@quick
@given(st.integers(20, 200), st.integers(1, 8), st.integers(1, 8), st.none() | st.integers(1, 4))
def test_sizes_are_what_was_asked_for(number, test, validation, train):
    splits = toy(distinct(number), test_size=test, validation_size=validation, train_size=train).splits()
    assert (len(splits.test), len(splits.validation)) == (test, validation)
    assert len(splits.train) == (train or number - test - validation)


@quick
@given(st.lists(st.integers(0, 2), min_size=30, max_size=200), st.integers(1, 12), st.integers(1, 12))
def test_every_split_holds_the_labels_in_their_proportions(labels, test, validation):
    rows = [(f"text {i}", label, None) for i, label in enumerate(labels)]
    splits = toy(rows, test_size=test, validation_size=validation).splits()
    for part, ends in ((splits.test, 1), (splits.validation, 2), (splits.train, 1)):
        for label in range(3):
            share = labels.count(label) / len(labels)
            found = sum(example.label == label for example in part)
            # Each end of a stretch is off by half an example, and by the rounding of the three labels.
            assert abs(found - share * len(part)) <= ends * (0.5 + share * 1.5) + 1e-9


@quick
@given(any_rows, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, chance):
    rows += distinct(9)
    other = list(rows)
    chance.shuffle(other)
    assert toy(rows, validation_size=1, test_size=2).splits() == toy(other, validation_size=1, test_size=2).splits()


def test_test_and_validation_do_not_change_with_the_train_size_and_a_smaller_train_is_part_of_a_larger():
    small, large, whole = (toy(distinct(50), train_size=size).splits() for size in (5, 20, None))
    assert small.test == large.test == whole.test
    assert small.validation == large.validation == whole.validation
    assert whole.train[:20] == large.train and large.train[:5] == small.train


def test_another_split_seed_draws_other_splits():
    one, two = (toy(distinct(50), split_seed=seed).splits() for seed in (0, 1))
    assert one.test != two.test
    assert one.revision != two.revision


def test_the_revision_changes_with_the_label_words():
    one, two = (toy(distinct(50), label_words=words).splits() for words in (WORDS, ("a", "b", "c")))
    assert one.test == two.test
    assert one.revision != two.revision


def test_an_example_has_the_rendered_template_and_an_id_of_it():
    first = toy(distinct(50), template="Say: {text}!").splits().test[0]
    again = toy(distinct(40), template="Say: {text}!", split_seed=3).splits()
    assert first.text.startswith("Say: text ") and first.text.endswith("!")
    assert len(first.id) == 16
    assert {e.text: e.id for e in (*again.train, *again.validation, *again.test)}.get(first.text, first.id) == first.id


def test_texts_that_differ_in_case_spaces_or_unicode_form_are_duplicates():
    splits = toy([("Straße ﬁne", 0, None), ("STRASSE  fine ", 0, None), *distinct(20)]).splits()
    assert (splits.duplicates, splits.conflicting) == (1, 0)


@pytest.mark.parametrize("folds", [None, 2])
def test_a_text_with_several_labels_is_left_out_whole_and_counted(folds):
    rows = [("twofold", 2, None), ("TWOFOLD", 0, None), ("twofold", 2, None), *distinct(20)]
    options = {"folds": folds, "test_size": None, "validation_size": None} if folds else {}
    splits, plain = toy(rows, **options).splits(), toy(distinct(20), **options).splits()
    assert (splits.duplicates, splits.conflicting) == (3, 3)
    assert (splits.train, splits.validation, splits.test) == (plain.train, plain.validation, plain.test)
    assert splits.revision == plain.revision


def test_a_text_keeps_the_label_that_the_split_it_stays_in_gives_it():
    rows = [*distinct(20), ("text 1", 2, "test"), ("two labels", 0, "test"), ("two labels", 1, "test")]
    splits = toy(rows, validation_size=4, test_size=None).splits()
    assert [(e.text, e.label) for e in splits.test] == [("text 1", 2)]
    assert "text 1" not in texts((*splits.train, *splits.validation))
    assert (splits.duplicates, splits.conflicting) == (3, 2)


def test_accuracy_is_no_measure_where_one_label_has_over_seventy_percent():
    def labels(most):
        return toy([(f"text {i}", int(i >= most), None) for i in range(100)], label_words=["a", "b"]).splits()

    # Of train and validation: the test split is for finals alone to read.
    assert labels(68).majority_share == pytest.approx(0.68, abs=0.01)
    assert accuracy_caution("accuracy", labels(68).majority_share) is None
    assert "72% of the rows have the same label" in accuracy_caution("accuracy", labels(72).majority_share)
    assert accuracy_caution("f1_macro", labels(72).majority_share) is None


def test_a_split_of_the_source_is_kept_and_a_text_in_two_of_them_stays_in_the_one_that_must_not_leak():
    rows = [(f"train {i}", i % 2, "train") for i in range(20)]
    rows += [("val 0", 0, "validation"), ("val 1", 1, "validation"), ("train 1", 1, "validation")]
    rows += [("test 0", 0, "test"), ("VAL 0", 0, "test"), ("train 2", 0, "test")]
    splits = toy(rows, validation_size=None, test_size=None).splits()
    assert sorted(texts(splits.test)) == ["test 0", "train 2", "val 0"]
    assert sorted(texts(splits.validation)) == ["train 1", "val 1"]
    assert (len(splits.train), splits.duplicates, splits.conflicting) == (18, 3, 0)


def test_a_split_that_the_source_lacks_is_drawn_from_train():
    rows = [*distinct(20), ("test 0", 0, "test"), ("test 1", 1, "test")]
    splits = toy(rows, validation_size=4, test_size=None).splits()
    assert sorted(texts(splits.test)) == ["test 0", "test 1"]
    assert (len(splits.validation), len(splits.train)) == (4, 16)


def test_without_sizes_a_tenth_and_a_fifth_are_drawn():
    splits = toy(distinct(100), validation_size=None, test_size=None).splits()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (70, 10, 20)


def test_sizes_beyond_what_is_there_name_the_number_of_rows():
    with pytest.raises(BadInput, match=r"Toy: test_size 9 \+ validation_size 3 \+ train_size 1 is more than the 12"):
        toy([*distinct(12), ("TEXT 1", 1, None)], test_size=9).splits()
    with pytest.raises(BadInput, match="test_size is 5, but its test split has 1 rows"):
        toy([*distinct(20), ("t", 0, "test")]).splits()


def test_a_template_that_names_no_column_of_the_source_says_which_there_are():
    with pytest.raises(BadInput, match=r"Toy: .*'txt'.*did you mean 'text'\? \(columns: text\)"):
        toy(distinct(20), template="{txt}").splits()


def test_a_template_without_a_column_is_refused():
    with pytest.raises(BadInput, match=r"toy\.template: the template names no column"):
        toy(distinct(20), template="Question:")


@pytest.mark.parametrize("words", [["a"], ["a", "a"], ["a", " "]])
def test_label_words_must_be_two_or_more_and_distinct(words):
    class Plain(Dataset):
        pass

    with pytest.raises(BadInput, match=r"toy\.label_words"):
        Plain.parse({"label_words": words}, "toy")


def test_a_label_without_a_word_is_refused():
    with pytest.raises(BadInput, match="label_words has 2 words, but a row has label number 2"):
        toy(distinct(20), label_words=["a", "b"]).splits()


def test_a_subclass_that_changes_a_default_keeps_the_help_text():
    assert Toy.model_fields["test_size"].description == Dataset.model_fields["test_size"].description


def test_another_draw_draws_all_three_splits_anew_from_the_same_rows():
    dataset = toy(distinct(60), validation_size=6, test_size=9)
    first, second, third = (dataset.splits(draw=draw) for draw in range(3))
    assert first == dataset.splits()
    for drawn in (second, third):
        assert {e.id for e in drawn.test} != {e.id for e in first.test}
        assert {e.id for e in drawn.validation} != {e.id for e in first.validation}
        assert [len(drawn.train), len(drawn.validation), len(drawn.test)] == [45, 6, 9]
        assert len({e.id for e in (*drawn.train, *drawn.validation, *drawn.test)}) == 60
        assert drawn.revision == first.revision
    assert second != third


@quick
@given(st.integers(30, 90), st.integers(1, 9), st.integers(1, 9), st.integers(1, 20))
def test_no_draw_is_tested_on_what_chose_the_configuration(number, validation, test, draw):
    dataset = toy(distinct(number), validation_size=validation, test_size=test)
    assert not {e.id for e in dataset.splits(draw=draw).test} & {e.id for e in dataset.splits().validation}


def test_what_has_a_test_split_of_its_own_cannot_be_drawn_anew():
    with pytest.raises(BadInput, match=r"finals.splits is 'redraw', but its splits are its own"):
        toy([*distinct(20), ("t", 0, "test")], test_size=1).splits(draw=1)
