"""The example of every guide to prompt tuning is here as the guides have it, and takes a local model and file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.api import plan
from bench.datasets import datasets

FILE = Path(__file__).parents[2] / "experiments" / "twitter_complaints.yaml"


@pytest.fixture
def tweets(tmp_path):
    """Fifty rows in the columns of the real file, as unequal as they are there."""
    rows = [f'"@shop number {n}, please",{("no complaint", "complaint")[n < 17]},{n}' for n in range(50)]
    path = tmp_path / "tweets.csv"
    path.write_text("\n".join(["Tweet text,Label,ID", *rows]) + "\n")
    return path


@pytest.fixture
def cells(tweets):
    changes = ["models.0=smollm2-135m", f"datasets.0.hub.data_files.train={tweets}"]
    return {cell.method.label: cell for cell in plan(FILE, changes=changes).cells}


def test_it_names_the_guides_model_and_data():
    cell = next(cell for cell in plan(FILE).cells if cell.model)
    assert cell.model.options["id"] == "bigscience/bloomz-560m"
    assert cell.dataset.options["id"] == "ought/raft"
    assert cell.dataset.options["template"] == "Tweet text : {Tweet text} Label : "
    assert cell.labels[1] == "twitter_complaints"


def test_a_model_and_a_file_of_this_machine_take_their_places(cells):
    assert {cell.labels[0] for cell in cells.values()} == {"none", "smollm2-135m"}
    cell = cells["prompt_tuning"]
    data = datasets.build(cell.dataset.name, cell.dataset.options, "test")
    splits = data.splits(3)
    assert splits.labels == ("complaint", "no complaint")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 10, 10)
    assert splits.train[0].text.startswith("Tweet text : @shop number ")
    assert splits.train[0].text.endswith(", please Label : ")
    assert Counter(example.label for example in splits.test)[0] in (3, 4)


def test_the_first_trial_trains_as_the_guide_does(cells):
    prompt, encoded = cells["prompt_tuning"], cells["p_tuning"]
    assert prompt.method.options["init_text"] == "Classify if the tweet is a complaint or not:"
    assert (prompt.method.options["init"], prompt.method.options["num_virtual_tokens"]) == ("text", 8)
    assert (encoded.method.options["num_virtual_tokens"], encoded.method.options["hidden_size"]) == (20, 128)
    for name in ("prompt_tuning", "p_tuning", "prefix_tuning"):
        training = cells[name].training
        assert (training.learning_rate, training.num_train_epochs, training.batch_size) == (3e-2, 50, 16)
        assert (training.optimizer, training.lr_scheduler_type, training.warmup_ratio) == ("adamw", "linear", 0)
        assert (training.max_length, training.eval_steps) == (64, 2)
        assert set(cells[name].search) == {"learning_rate"}
        assert cells[name].search["learning_rate"].low <= 3e-2 <= cells[name].search["learning_rate"].high
    assert {"lora", "full_fine_tuning", "hard_prompt", "majority"} <= cells.keys()


def test_every_cell_is_tested_on_every_row_once(cells):
    assert {cell.planned_finals for cell in cells.values()} == {5}
