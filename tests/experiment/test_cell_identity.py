"""What makes a cell another one: never the order in which metrics are recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from demo import demo_cell
from hypothesis import given
from hypothesis import strategies as st

from bench.experiment.cell import Target
from bench.runs.record import read_record

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
CELL = demo_cell()


def with_metrics(*metrics):
    options = {**CELL.dataset.options, "metrics": list(metrics)}
    return CELL.model_copy(update={"dataset": CELL.dataset.model_copy(update={"options": options})})


@given(st.permutations(["accuracy", "mcc", {"f1_macro": {}}]))
def test_the_order_of_the_metrics_behind_the_first_decides_nothing(order):
    first, *others = order
    assert with_metrics(first, *others).path == with_metrics(first, *reversed(others)).path


def test_the_objective_and_which_metrics_are_recorded_decide():
    hashes = {with_metrics(*names).hash for names in (["mcc"], ["accuracy"], ["accuracy", "mcc"], ["mcc", "accuracy"])}
    assert len(hashes) == 4


def test_finals_are_not_run_again_for_the_order_of_the_metrics_of_a_transfer():
    def of(*metrics):
        entry = with_metrics(*metrics).dataset
        return CELL.model_copy(update={"transfer": (Target(dataset=entry, objective="accuracy"),)})

    assert of("accuracy", "mcc", "f1_macro").targets == of("accuracy", "f1_macro", "mcc").targets
    assert of("accuracy", "mcc").targets != of("accuracy").targets


@pytest.mark.parametrize("folder", sorted(path.name for path in REFERENCE.iterdir()))
def test_committed_records_still_lie_where_their_settings_say(folder):
    files = sorted((REFERENCE / folder / "records").rglob("*.json"))
    assert files
    for file in files:
        record = read_record(file)
        assert record is not None, file
        assert (record.spec.cell.path, record.spec.hash) == (record.cell_path, record.spec_hash), file
        assert json.loads(json.dumps(record.spec.cell.identity)) == record.spec.cell.identity
