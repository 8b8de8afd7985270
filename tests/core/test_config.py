"""What every configuration shares."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from bench.core.config import Config, canonical_json, content_hash, deep_merge, derive_seed, join_path
from bench.core.errors import BadInput, did_you_mean


class Inner(Config):
    rank: int = Field(8, gt=0)
    """How many."""


class Outer(Config):
    name: str
    inner: Inner = Inner()
    layers: list[Inner] = []
    by_name: dict[str, Inner] = {}
    rate: float = 1.0
    """How fast."""


class Faster(Outer):
    rate: float = 2.0


def message(data: object, where: str = "x.yaml") -> str:
    with pytest.raises(BadInput) as error:
        Outer.parse(data, where)
    return str(error.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "x.yaml: name: this key is missing"),
        ({"name": "a", "ratte": 1}, "x.yaml: ratte: unknown key; did you mean 'rate'?"),
        ({"name": "a", "zzzzzz": 1}, "x.yaml: zzzzzz: unknown key; known are by_name, inner, layers, name, rate"),
        ({"name": "a", "inner": {"rnak": 1}}, "x.yaml: inner.rnak: unknown key; did you mean 'rank'?"),
        ({"name": "a", "layers": [{}, {"rnak": 1}]}, "x.yaml: layers[1].rnak: unknown key; did you mean 'rank'?"),
        (
            {"name": "a", "by_name": {"b": {"rank": -1}}},
            "x.yaml: by_name.b.rank: input should be greater than 0, found -1",
        ),
        ({"name": "a", "rate": float("inf")}, "x.yaml: rate: input should be a finite number, found inf"),
        ({"name": ["a"]}, "x.yaml: name: input should be a valid string"),
    ],
)
def test_a_finding_names_file_key_path_and_what_would_be_right(data, said):
    assert message(data) == said


def test_several_findings_are_a_line_each():
    assert message({"rate": "x", "inner": {"rank": 0}}).count("\n") == 2


@pytest.mark.parametrize(
    ("where", "path", "written"),
    [
        ("x.yaml", ["a", 0, "b"], "x.yaml: a[0].b"),
        ("x.yaml: a[0].b", ["c"], "x.yaml: a[0].b.c"),
        ("x.yaml: a", [1], "x.yaml: a[1]"),
        ("--engine", ["workers"], "--engine.workers"),
        ("x.yaml", [], "x.yaml"),
        ("", ["a"], "a"),
    ],
)
def test_a_key_path_is_written_as_a_reader_of_the_file_would(where, path, written):
    assert join_path(where, path) == written


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Inner().rank = 3


def test_a_subclass_that_changes_a_default_alone_keeps_the_help_text():
    assert Faster.model_fields["rate"].description == "How fast."
    assert Faster(name="a").rate == 2.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
MAPPING = st.dictionaries(st.sampled_from("abc"), JSON | st.dictionaries(st.sampled_from("abc"), JSON), max_size=3)


@given(MAPPING, MAPPING, MAPPING)
def test_merging_is_associative_and_the_empty_mapping_changes_nothing(one, two, three):
    assert deep_merge(deep_merge(one, two), three) == deep_merge(one, two, three)
    assert deep_merge({}, one) == deep_merge(one, {}) == one


def test_merging_goes_to_every_depth_and_leaves_what_was_given_alone():
    old = {"a": {"b": {"c": 1, "d": 2}}, "list": [1, 2]}
    assert deep_merge(old, {"a": {"b": {"c": 9}}, "list": [3]}) == {"a": {"b": {"c": 9, "d": 2}}, "list": [3]}
    assert old == {"a": {"b": {"c": 1, "d": 2}}, "list": [1, 2]}


@given(st.dictionaries(st.text(max_size=4), JSON))
def test_one_value_has_one_hash_whatever_the_order_of_its_keys(value):
    backwards = dict(reversed(value.items()))
    assert content_hash(backwards) == content_hash(value)
    assert json.loads(canonical_json(value)) == value


def test_nan_has_no_hash():
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_hash({"a": float("nan")})


@given(st.integers(0, 2**31), st.lists(st.text(max_size=5) | st.integers(), max_size=3))
def test_a_seed_is_derived_and_never_drawn(root, parts):
    seed = derive_seed(root, *parts)
    assert seed == derive_seed(root, *parts)
    assert 0 <= seed < 2**31


def test_seeds_for_different_things_differ():
    seeds = {derive_seed(root, kind, number) for root in range(3) for kind in "ab" for number in range(50)}
    assert len(seeds) == 300


def test_a_far_off_name_is_answered_with_all_if_they_are_few():
    assert did_you_mean("lorra", ["lora", "majority"]) == "; did you mean 'lora'?"
    assert did_you_mean("zzz", ["lora", "majority"]) == "; known are lora, majority"
    assert did_you_mean("zzz", map(str, range(50))) == ""
    assert did_you_mean("zzz", []) == ""
