"""Records: written whole or not at all, read back as they were, and never lost."""

from __future__ import annotations

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin

import jsonschema
import pytest
from demo import demo_cell, demo_spec, ended
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import bench.runs.record
from bench.core.errors import BadInput
from bench.core.files import write_atomic
from bench.runs.record import Parameters, TrialRecord, json_schema, read_record
from bench.runs.selection import best_trial, finals_of
from bench.runs.store import RecordStore

CELL = demo_cell()
SCHEMA = json.loads(Path(bench.runs.record.__file__).with_name("record.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**53)
TEXT = st.text(max_size=8)


def anything(kind, **given):
    """Return records of a kind with anything in their fields that fits the annotations."""
    fields = {name: of(field.annotation) for name, field in kind.model_fields.items() if name not in given}
    return st.builds(kind, **fields, **given)


def of(annotation):
    """Return what fits an annotation of a record's field; lists and mappings are short."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, UnionType):
        return st.one_of(map(of, inner))
    if origin is list:
        return st.lists(of(inner[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(TEXT, of(inner[1]), max_size=2)
    plain = {int: COUNT, float: NUMBER, str: TEXT, bool: st.booleans(), NoneType: st.none()}
    return plain[annotation] if annotation in plain else anything(annotation)


SPECS = st.builds(
    demo_spec,
    cell=st.just(CELL),
    number=st.integers(0, 99_999),
    kind=st.sampled_from(["trial", "final"]),
    learning_rate=st.floats(1e-6, 1),
)
RECORDS = anything(TrialRecord, spec=SPECS, cell_path=st.just(CELL.path), checksum=st.none())


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS)
def test_a_record_is_read_back_as_it_was_written_and_fits_the_published_schema(tmp_path_factory, record):
    store = RecordStore(tmp_path_factory.getbasetemp() / "any")
    path = store.write(record)

    again = read_record(path)

    assert again == record
    assert again.model_dump_json() == record.model_dump_json(), "types too: True is not 1"
    VALIDATOR.validate(json.loads(path.read_text()))
    path.unlink()


def test_the_published_schema_is_current():
    assert json_schema() == SCHEMA, (
        "bench/runs/record.schema.json is old: python -m bench.runs.record > bench/runs/record.schema.json"
    )


def test_the_schema_refuses_what_is_no_record():
    good = json.loads(ended(demo_spec(CELL)).model_dump_json())
    for wrong in ({"status": "fine"}, {"schema_version": 2}, {"objective": "high"}, {"more": 1}):
        assert not VALIDATOR.is_valid({**good, **wrong})
    assert VALIDATOR.is_valid(good)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused_as_one(value):
    for wrong in ({"objective": value}, {"seconds": {"train": value}}, {"notes": {"x": value}}):
        with pytest.raises(ValidationError):
            ended(demo_spec(CELL), **wrong)


@pytest.mark.parametrize("moment", ["replace", "fsync"])
def test_a_crash_before_the_file_is_in_place_leaves_the_old_one_and_no_rubbish(tmp_path, monkeypatch, moment):
    path = tmp_path / "record.json"
    write_atomic(path, b"old")

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(*((Path, "replace", crash) if moment == "replace" else ("os.fsync", crash)))
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_can_be_read_by_whoever_the_umask_allows(tmp_path):
    (tmp_path / "plain").write_text("")
    write_atomic(tmp_path / "a" / "b", b"x")
    assert (tmp_path / "a" / "b").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_half_written_temporary_file_is_no_record(tmp_path):
    store = RecordStore(tmp_path)
    path = store.write(ended(demo_spec(CELL)))
    path.with_name(f".{path.name}.0123abcd").write_text("{")
    assert len(list(store)) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"schema_version": 1}', b"\xff", b"[" * 10**5])
def test_a_file_that_is_no_record_is_set_aside_and_the_rest_goes_on(tmp_path, content):
    store = RecordStore(tmp_path)
    good = ended(demo_spec(CELL, 0))
    store.write(good)
    torn = store.path(demo_spec(CELL, 1))
    torn.write_bytes(content)

    assert list(store) == [good]

    assert torn.with_suffix(".corrupt").read_bytes() == content
    assert not torn.exists()

    torn.write_bytes(b"again")
    assert list(store) == [good]
    assert torn.with_suffix(".corrupt").read_bytes() == content, "evidence is not written over"
    assert torn.with_suffix(".corrupt1").read_bytes() == b"again"


def test_a_record_of_a_version_that_is_not_known_is_named_and_left_where_it_is(tmp_path):
    store = RecordStore(tmp_path)
    path = store.write(ended(demo_spec(CELL)))
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 7'))
    with pytest.raises(BadInput, match=r"trial-00000\.json: schema version 7; this promptscale reads version 1"):
        list(store)
    assert path.exists()


def test_a_cell_reads_its_own_records_alone(tmp_path):
    store = RecordStore(tmp_path)
    other = demo_cell(methods=["lora"])
    for cell in (CELL, other):
        store.write(ended(demo_spec(cell)))
    assert [record.cell_path for record in store.iter_cell(CELL.path)] == [CELL.path]
    assert len(list(store)) == 2


def trial(number: int, objective: float | None, status: str = "ok", greater: bool = True) -> TrialRecord:
    cell = CELL.model_copy(update={"greater_is_better": greater})
    return ended(demo_spec(cell, number, learning_rate=0.1 + number), status=status, objective=objective)


def test_the_best_trial_is_the_earliest_of_equals_in_whatever_order_they_come():
    trials = [trial(0, 0.5), trial(1, 0.7), trial(2, 0.7), trial(3, 0.9, "pruned"), trial(4, None)]
    assert best_trial(trials).spec.number == 1
    assert best_trial(reversed(trials)).spec.number == 1
    assert best_trial(trials[3:]) is None


def test_the_best_trial_is_the_lowest_where_lower_is_better():
    assert best_trial([trial(n, value, greater=False) for n, value in enumerate((0.5, 0.2, 0.2))]).spec.number == 1


def test_the_finals_of_a_trial_are_those_of_its_configuration_by_number():
    best = trial(1, 0.7)
    finals = [ended(demo_spec(CELL, number, "final", learning_rate=1.1)) for number in (1, 0)]
    stale = ended(demo_spec(CELL, 0, "final", learning_rate=0.1))
    assert finals_of({0: best}, [*finals, stale, best]) == finals[::-1]
    assert finals_of({}, finals) == []


def test_parameters_give_the_percentage_that_is_trained():
    assert Parameters(total=559_222_784, trainable=8_192).percent == pytest.approx(0.0014648902430985358)
    assert Parameters(total=0, trainable=0).percent == 0.0
