from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from bench.core.errors import BadInput
from bench.datasets import datasets
from bench.runs.spec import TrialSpec


def table(path, rows, classes=2):
    lines = [f"text {n},{'xyz'[n % classes]}" for n in range(rows)]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def folded(path, **options):
    return datasets.build("local", {"path": str(path), "folds": 5, **options}, "test")


def ids(part):
    return {example.id for example in part}


def test_every_row_is_tested_once_and_never_by_a_run_that_has_read_it(tmp_path):
    data = folded(table(tmp_path / "t.csv", 50), validation_size=10)
    parts = [data.splits(fold) for fold in range(5)]
    tested = Counter(id_ for splits in parts for id_ in ids(splits.test))
    assert len(tested) == 50
    assert set(tested.values()) == {1}
    for splits in parts:
        assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 10, 10)
        assert len(ids(splits.train) | ids(splits.validation) | ids(splits.test)) == 50


@given(number=st.integers(2, 8), rows=st.integers(24, 80), classes=st.integers(2, 3))
def test_folds_hold_the_labels_as_evenly_as_scikit_learns(tmp_path_factory, number, rows, classes):
    path = table(tmp_path_factory.mktemp("folds") / "t.csv", rows, classes)
    data = folded(path, folds=number)
    ours = [Counter(e.label for e in data.splits(fold).test) for fold in range(number)]
    labels = [n % classes for n in range(rows)]
    theirs = [
        Counter(labels[i] for i in test)
        for _, test in StratifiedKFold(number, shuffle=True, random_state=0).split(labels, labels)
    ]
    for label in range(classes):
        counts = [fold[label] for fold in ours]
        peers = [fold[label] for fold in theirs]
        assert sum(counts) == sum(peers)
        assert max(counts) - min(counts) <= max(peers) - min(peers) + 1


def test_all_folds_are_one_revision_of_the_data(tmp_path):
    path = table(tmp_path / "t.csv", 50)
    revisions = {folded(path).splits(fold).revision for fold in range(5)}
    assert len(revisions) == 1
    assert folded(path, folds=4).splits(0).revision not in revisions
    assert folded(table(path, 49)).splits(0).revision not in revisions


def test_a_source_with_a_validation_split_keeps_it_in_every_fold(tmp_path):
    validation = tmp_path / "v.csv"
    validation.write_text("text,label\nother 1,x\nother 2,y\n")
    data = folded(table(tmp_path / "t.csv", 20), validation_path=str(validation))
    assert [len(data.splits(fold).train) for fold in range(5)] == [16] * 5
    assert len({e.text for fold in range(5) for e in data.splits(fold).validation}) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 1}, "folds: input should be greater than or equal to 2"),
        ({"test_size": 5}, "folds take the place of the test split; leave out test_size (5) or folds"),
        ({"folds": 30}, "30 folds"),
        ({"validation_size": 16}, "more than the 20 rows allow"),
        ({"test_path": "t.csv"}, "has a test split of its own"),
    ],
)
def test_folds_that_cannot_be_are_refused_in_a_line(tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "all.csv", 20)
    table(tmp_path / "t.csv", 4)
    with pytest.raises(BadInput) as caught:
        folded("all.csv", **options).splits(0)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cell_has_a_final_for_each_fold_and_its_trials_are_of_the_first(tmp_path):
    from demo import demo_cell

    local = {"local": {"path": str(table(tmp_path / "t.csv", 20)), "folds": 4}}
    cell = demo_cell(datasets=[local], finals={"seeds": 2})
    assert cell.planned_finals == 4

    def spec(kind, number):
        return TrialSpec(experiment="demo", cell=cell, kind=kind, number=number, seed=number, params={})

    assert [spec("final", n).fold for n in range(4)] == [0, 1, 2, 3]
    assert {spec("trial", n).fold for n in range(4)} == {0}
    assert demo_cell(datasets=[local], finals={"seeds": 0}).planned_finals == 0
    assert demo_cell(datasets=[local], methods=["majority"]).planned_finals == 4
    assert demo_cell(finals={"seeds": 2}).planned_finals == 2


def test_nested_folds_have_studies_of_their_own(tmp_path):
    from demo import demo_cell

    local = {"local": {"path": str(table(tmp_path / "t.csv", 20)), "folds": 4, "nested": True}}
    cell = demo_cell(datasets=[local], study={"trials": 3}, finals={"seeds": 2})
    assert (cell.studies, cell.study.trials, cell.planned_finals) == (4, 12, 4)
    trials = [TrialSpec(experiment="demo", cell=cell, kind="trial", number=n, seed=n, params={}) for n in range(12)]
    assert Counter(spec.fold for spec in trials) == {0: 3, 1: 3, 2: 3, 3: 3}
    # Where nothing is searched nothing is chosen, and there is nothing to nest.
    assert demo_cell(datasets=[local], methods=["majority"]).studies == 1


def test_nested_without_folds_is_refused(tmp_path):
    with pytest.raises(BadInput, match="nested: needs folds, such as 'folds: 5'"):
        datasets.build("local", {"path": str(table(tmp_path / "t.csv", 20)), "nested": True}, "test")


def test_a_data_set_that_is_not_nested_is_the_data_set_it_was(tmp_path):
    assert "nested" not in folded(table(tmp_path / "t.csv", 20)).model_dump(mode="json")


def test_a_packaged_data_set_is_folded_without_a_word_about_its_own_test_size():
    assert datasets.build("trec6", {"folds": 3}, "test").test_size is None
