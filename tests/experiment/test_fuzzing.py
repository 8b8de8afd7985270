"""Whatever is in a record or in a table: it is read, or refused in a line; never a traceback, never a hang."""

from __future__ import annotations

import json

import pytest
from demo import demo_cell, demo_spec, ended
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.datasets import datasets
from bench.runs.record import dump_record, read_record

RECORD = dump_record(ended(demo_spec(demo_cell(), 3, learning_rate=0.1)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def read(place, data: bytes):
    path = place / "trial-00003.json"
    path.write_bytes(data)
    try:
        return read_record(path)
    except BadInput as error:
        assert "schema version" in str(error)
        return None


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(RECORD) - 1), st.integers(0, 7)), min_size=1, max_size=4))
def test_a_record_with_flipped_bits_is_no_record_or_says_the_same(place, flips):
    data = bytearray(RECORD)
    for position, bit in flips:
        data[position] ^= 1 << bit
    found = read(place, bytes(data))
    assert found is None or json.loads(bytes(data)) == json.loads(RECORD)


@given(st.integers(0, len(RECORD) - 3))
def test_a_record_that_was_cut_is_no_record(place, length):
    assert read(place, RECORD[:length]) is None


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_no_record(place, data):
    assert read(place, data) is None


@given(st.sampled_from(sorted(json.loads(RECORD))), JSON)
def test_a_record_with_another_value_is_no_record(place, key, value):
    changed = {**json.loads(RECORD), key: value}
    found = read(place, json.dumps(changed).encode())
    # Without its checksum a record is one of those that were written before there were any.
    assert found is None or changed == json.loads(RECORD) or key == "checksum"


CELL = st.text(max_size=6) | st.sampled_from(["a", "b", "", '"', ",", "\n", "\0", "=1+1", "\ud7ff", "NA"])


@settings(max_examples=200)
@given(st.binary(max_size=80) | st.lists(st.lists(CELL, max_size=4).map(",".join), max_size=8).map("\n".join))
def test_any_table_is_data_or_bad_input(place, content):
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        path = place / f"table{suffix}"
        head = b"" if isinstance(content, bytes) else b"text,label\n"
        path.write_bytes(head + (content if isinstance(content, bytes) else content.encode()))
        try:
            datasets.build("local", {"path": str(path), "validation_size": 1, "test_size": 1}, "x").splits()
        except BadInput as error:
            assert str(error)
