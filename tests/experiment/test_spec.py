"""What decides a run, and what it is called."""

from __future__ import annotations

import pytest
from demo import demo_cell, demo_spec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.core.distributions import Float, Int
from bench.core.entries import Entry, default_label
from bench.experiment.settings import Training
from bench.runs.spec import TrialSpec


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"max_steps": 7}},
        {"methods": [{"prompt_tuning": {"init": "text"}}]},
        {"methods": [{"prompt_tuning": {"search": {"learning_rate": {"low": 1e-2}}}}]},
        {"datasets": [{"trec6": {"train_size": 100}}]},
        {"models": ["smollm2-135m"]},
        {"study": {"sampler": "random"}},
        {"study": {"pruner": "median"}},
        {"study": {"objectives": ["score", "memory"]}},
        {"evaluation": {"generations": 1}},
        {"runtime": {"precision": "bfloat16"}},
        {"seed": 1},
        {"trust_remote_code": True},
    ],
)
def test_what_changes_a_result_changes_the_hash_of_the_cell(changes):
    assert demo_cell(**changes).hash != demo_cell().hash


@pytest.mark.parametrize(
    "changes",
    [
        {"study": {"trials": 99, "max_failures": 1, "budget": {"seconds": 4}, "storage": "sqlite:///x.db"}},
        {"finals": {"seeds": 9, "save_adapters": False}},
        {"runtime": {"threads": 3, "trial_timeout": 5.0, "hang_timeout": 5, "retries": 0}},
        {"workers": 4},
        {"description": "another"},
        {"methods": [{"prompt_tuning": {"label": "other"}}]},
    ],
)
def test_budgets_and_labels_do_not(changes):
    assert demo_cell(**changes).hash == demo_cell().hash


def test_where_nothing_is_searched_it_does_not_matter_how():
    assert len({demo_cell(methods=["hard_prompt"], study={"sampler": name}).hash for name in ("tpe", "grid")}) == 1


def test_a_new_version_of_a_method_makes_its_cells_new():
    cell = demo_cell()
    assert cell.model_copy(update={"version": cell.version + 1}).hash != cell.hash


@given(
    st.sampled_from(["trial", "final"]),
    st.integers(0, 10**6),
    st.dictionaries(
        st.sampled_from(["learning_rate", "num_virtual_tokens", "init"]),
        st.integers(1, 99) | st.floats(1e-5, 1) | st.text(max_size=5) | st.booleans() | st.none(),
    ),
)
def test_a_spec_is_the_same_after_a_round_trip_through_json(kind, number, params):
    spec = demo_spec(CELL, number, kind, **params)
    again = TrialSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert (again.hash, again.filename, again.cell.path) == (spec.hash, spec.filename, spec.cell.path)
    assert [type(v) for v in again.params.values()] == [type(v) for v in params.values()]


CELL = demo_cell()


def test_chosen_values_go_to_the_training_or_to_the_method():
    spec = demo_spec(CELL, learning_rate=0.5, num_virtual_tokens=7)
    assert spec.training == Training.model_validate({**CELL.training.model_dump(), "learning_rate": 0.5})
    assert spec.method_options == {**CELL.method.options, "num_virtual_tokens": 7}


def test_a_chosen_value_that_cannot_be_is_refused():
    with pytest.raises(ValidationError):
        _ = demo_spec(CELL, learning_rate=-1.0).training


def test_finals_of_two_configurations_have_files_of_their_own_and_trials_go_by_number():
    one, two = (demo_spec(CELL, 0, "final", learning_rate=rate) for rate in (0.1, 0.2))
    assert one.filename != two.filename
    assert demo_spec(CELL, 3, learning_rate=0.1).filename == "trial-00003.json"


@pytest.mark.parametrize("kind", [Float, Int])
def test_a_range_stands_upright_and_a_logarithmic_one_above_zero(kind):
    assert kind(low=1, high=1).low == 1
    with pytest.raises(ValidationError, match="upside down"):
        kind(low=2, high=1)
    with pytest.raises(ValidationError, match="begin above 0"):
        kind(low=0, high=1, log=True)


@pytest.mark.parametrize(
    ("name", "options", "label"),
    [
        ("lora", {}, "lora"),
        ("hub", {"id": "org/Model-1B"}, "model-1b"),
        ("local", {"path": "models/tiny/"}, "tiny"),
        ("local", {"path": "data/tweets.csv"}, "tweets"),
        ("local", {"path": "data/tweets.jsonl"}, "tweets"),
        ("local", {"path": "data/tweets.parquet"}, "tweets"),
        ("local", {"path": "data/My Tweets.CSV"}, "my-tweets"),
        ("local", {"path": "data/Größe der Welt.csv"}, "Größe der Welt"),
        ("local", {"path": "数据/情感分类.jsonl"}, "情感分类"),
        ("hub", {"id": "org/Ελλάδα"}, "Ελλάδα"),
    ],
)
def test_a_label_is_the_last_part_of_where_a_thing_comes_from(name, options, label):
    assert default_label(name, options) == label == Entry.model_validate({name: options}).label
