"""Data sets of the hub, without a hub: files in its own format on disk, and a client that cannot reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import BadInput, Unavailable
from bench.datasets import datasets


@pytest.fixture
def parquet(tmp_path, monkeypatch):
    """Parquet as the hub converts it, with named class labels; the third row's label is missing."""
    import datasets as hf

    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    labels = hf.ClassLabel(names=["Unlabeled", "no complaint", "complaint"])
    features = hf.Features({"Tweet text": hf.Value("string"), "ID": hf.Value("int64"), "Label": labels})

    def write(name, numbers):
        rows = {"Tweet text": [f"{name} {i}" for i in range(len(numbers))], "ID": range(len(numbers)), "Label": numbers}
        path = tmp_path / f"{name}.parquet"
        hf.Dataset.from_dict(rows, features=features).to_parquet(path)
        return str(path)

    return write


def hub(**options):
    return datasets.build("hub", {"id": "ought/raft", **options}, "x.yaml: datasets[0].hub")


def raft(**options):
    return hub(label_column="Label", template="Tweet text: {Tweet text}\nLabel:", **options)


def test_numbers_with_names_become_label_words_in_the_order_of_the_source(parquet):
    splits = raft(data_files={"train": parquet("train", [2, 1] * 10)}).splits()
    assert splits.labels == ("no complaint", "complaint")
    example = next(e for e in (*splits.train, *splits.validation, *splits.test) if "train 4" in e.text)
    assert example.text == "Tweet text: train 4\nLabel:"
    assert splits.labels[example.label] == "complaint"


def test_splits_of_the_source_are_kept(parquet):
    files = {"train": parquet("train", [2, 1] * 10), "test": parquet("test", [1, 2])}
    splits = raft(data_files=files, label_words={"complaint": "yes", "no complaint": "no"}).splits()
    assert splits.labels == ("yes", "no")
    assert {e.text[:18] for e in splits.test} == {"Tweet text: test 0", "Tweet text: test 1"}
    assert (len(splits.train), len(splits.validation)) == (18, 2)


def test_a_row_without_a_label_is_named(parquet):
    with pytest.raises(BadInput, match=r"ought/raft, split 'train', row 2: column 'Label' is empty"):
        raft(data_files={"train": parquet("train", [1, -1, 2])}).splits()


def test_a_missing_column_is_answered_with_those_that_there_are(parquet):
    file = parquet("train", [1, 2])
    with pytest.raises(BadInput, match=r"label_column is 'label'.*did you mean 'Label'\? \(columns: Tweet text, ID"):
        hub(template="{Tweet text}", data_files={"train": file}).splits()


def test_an_unknown_kind_of_file_is_refused():
    with pytest.raises(BadInput, match=r"data_files.train: expected one of .parquet, .csv, .json, .jsonl, found a.txt"):
        hub(data_files={"train": "a.txt"}).splits()


def test_a_hub_that_cannot_be_reached_is_said_in_one_line(monkeypatch):
    import huggingface_hub

    def unreachable(*args, **kwargs):
        raise OSError("Name or service\nnot known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    with pytest.raises(Unavailable, match=r"^ought/raft: .*cannot be reached \(Name or service not known\); if .*$"):
        hub().splits()


def test_offline_a_data_set_that_is_not_in_the_cache_is_unavailable(monkeypatch):
    import datasets as hf
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hf.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unavailable, match=r"ought/raft \(twitter\): cannot be loaded from the hub: Couldn't reach"):
        hub(config="twitter").splits()


def test_an_id_that_cannot_be_one_is_bad_input(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(BadInput, match="no valid id"):
        datasets.build("hub", {"id": "no such id"}, "x").splits()


@pytest.mark.parametrize("name", ["ought/raft", "SetFit/TREC-QC", "squad"])
def test_what_the_client_has_in_its_cache_is_not_fetched_again(tmp_path, monkeypatch, name):
    import datasets as hf
    from datasets.packaged_modules.parquet.parquet import Parquet

    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path)
    source = hub(id=name)
    assert [one.cached for one in source.downloads()] == [False]
    Path(Parquet(repo_id=name, dataset_name=name.split("/")[-1], cache_dir=tmp_path).cache_dir).mkdir(parents=True)
    assert [one.cached for one in source.downloads()] == [True]
