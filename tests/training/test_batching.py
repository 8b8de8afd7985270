"""Which examples form the batches."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.forward.batch import evaluation_batches
from bench.training.batching import training_batches

lengths_of = st.lists(st.integers(1, 100), min_size=1, max_size=80)


def padding(batches, lengths):
    """Return the share of padding in all positions."""
    real = sum(lengths[i] for batch in batches for i in batch)
    return 1 - real / sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)


@given(lengths_of, st.integers(1, 10), st.integers(1, 4), st.integers(0, 9), st.booleans())
def test_every_epoch_has_each_example_once(lengths, size, epochs, seed, grouped):
    per_epoch = -(-len(lengths) // size)
    batches = training_batches(lengths, size, epochs * per_epoch, seed, grouped)
    for epoch in range(epochs):
        seen = Counter(i for batch in batches[epoch * per_epoch : (epoch + 1) * per_epoch] for i in batch)
        assert seen == Counter(range(len(lengths)))


@given(lengths_of, st.integers(1, 10), st.integers(1, 30), st.booleans())
def test_there_are_as_many_batches_as_steps_none_larger_than_asked(lengths, size, steps, grouped):
    batches = training_batches(lengths, size, steps, 0, grouped)
    assert len(batches) == steps
    assert all(1 <= len(batch) <= size for batch in batches)


@given(lengths_of, st.booleans())
def test_the_seed_alone_decides_and_a_longer_run_begins_like_a_shorter_one(lengths, grouped):
    first = training_batches(lengths, 4, 30, 7, grouped)
    assert training_batches(lengths, 4, 30, 7, grouped) == first
    assert training_batches(lengths, 4, 10, 7, grouped) == first[:10]


def test_another_seed_is_another_order_and_so_is_another_epoch():
    for grouped in (True, False):
        first = training_batches(range(1, 65), 8, 16, 0, grouped)
        assert training_batches(range(1, 65), 8, 16, 1, grouped) != first
        assert first[:8] != first[8:]


def test_batches_of_similar_length_have_little_padding():
    lengths = [(37 * i) % 100 + 1 for i in range(1000)]
    grouped, mixed = (padding(training_batches(lengths, 16, 62, 0, way), lengths) for way in (True, False))
    assert grouped < 0.08 < 0.3 < mixed


def test_batches_of_similar_length_do_not_come_from_short_to_long():
    lengths = [(37 * i) % 100 + 1 for i in range(1000)]
    longest = [max(lengths[i] for i in batch) for batch in training_batches(lengths, 16, 62, 0, True)]
    rises = sum(a < b for a, b in pairwise(longest))
    assert 20 < rises < 41


@given(lengths_of, st.integers(1, 10))
def test_evaluation_covers_every_example_once_longest_first(lengths, size):
    batches = evaluation_batches(lengths, size)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    assert all(len(batch) == size for batch in batches[:-1])


def test_of_an_empty_split_there_are_no_batches():
    assert evaluation_batches([], 4) == []
