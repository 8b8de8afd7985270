"""The hard prompt: what the model reads is the text that one would write by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from numerics import assert_close
from pydantic import ValidationError

from bench.core.errors import Infeasible
from bench.methods.base import TunedModel
from bench.methods.hard_prompt import HardPrompt
from bench.methods.tuned.hard_prompt import drawn
from bench.testing.tiny import (
    FAMILIES,
    assert_same_state,
    example,
    state_of,
    tiny_encoder,
    tiny_examples,
    tiny_model,
    tiny_splits,
)
from bench.training.evaluation import Scorer

LABELS = ("yes", "maybe")  # one token and several


def attach(base, splits=None, seed=0, **options):
    return HardPrompt(**options).attach(base, splits or tiny_splits(LABELS), seed)


def by_hand(base, splits, shown):
    """The examples before the input as plain text: what a user would paste."""
    return "".join(f"{e.text} {splits.labels[e.label]}\n\n" for e in shown)


@pytest.mark.parametrize("bos", [False, True], ids=["without bos", "with bos"])
@pytest.mark.parametrize("family", FAMILIES)
def test_few_shot_logits_are_those_of_the_whole_text(family, bos):
    base = tiny_model(family, bos=bos)
    splits = tiny_splits(LABELS)
    encoder = tiny_encoder(base, LABELS)
    tuned = attach(base, splits, shots=3, seed=4)
    shown = drawn(splits, 3, 4)
    whole = [replace(e, id=f"w{e.id[1:]}", text=by_hand(base, splits, shown) + e.text) for e in splits.validation[:4]]
    batches = []
    for rows in (splits.validation[:4], whole):
        ids, _ = encoder.inputs(rows, None)
        batches.append(encoder.batch([(row, encoder.label_ids[i % 2]) for i, row in enumerate(ids)]))
    before = state_of(base.network)
    with torch.no_grad():
        expected = TunedModel(base).logits(batches[1])
        assert_close(tuned.logits(batches[0]), expected)
        with tuned.evaluating():
            assert_close(tuned.logits(batches[0]), expected)
    tuned.detach()
    assert_same_state(base.network, before)


def test_the_seed_draws_balanced_examples_from_train():
    splits = tiny_splits(("yes", "no", "maybe"), train=40)
    shown = drawn(splits, 7, seed=1)
    assert set(shown) <= set(splits.train)
    assert len(set(shown)) == 7
    assert sorted(Counter(e.label for e in shown).values()) == [2, 2, 3]
    assert shown == drawn(splits, 7, seed=1)
    assert shown != drawn(splits, 7, seed=2)
    assert [e.label for e in drawn(splits, 6, seed=3)] != sorted(e.label for e in drawn(splits, 6, seed=3))


def test_a_rare_label_gives_what_it_has():
    rows = (*tiny_examples(9, 1), replace(tiny_examples(1, 1, seed=5)[0], label=1))
    shown = drawn(replace(tiny_splits(), train=rows), 6, 0)
    assert Counter(e.label for e in shown) == {0: 5, 1: 1}


def test_examples_take_their_room_from_the_context_and_zero_shot_takes_none():
    base = tiny_model()
    splits = tiny_splits(LABELS)
    text = by_hand(base, splits, drawn(splits, 2, 0))
    ids = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert attach(base, splits, shots=2).virtual_tokens == len(ids)
    assert attach(base, splits).virtual_tokens == 0


def test_examples_that_fill_the_context_are_infeasible():
    splits = replace(tiny_splits(), train=tuple(example(i, "a" * 60, i % 2) for i in range(8)))
    with pytest.raises(Infeasible, match=r"4 examples take 2\d\d tokens .* context is 256 positions"):
        attach(tiny_model(), splits, shots=4)
    attach(tiny_model("bloom"), splits, shots=4)  # no limit


def test_more_shots_than_examples_are_infeasible():
    with pytest.raises(Infeasible, match="train has 24 examples, fewer than 25"):
        attach(tiny_model(), shots=25)


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("family", ["llama", "t5"])
def test_calibration_is_that_of_the_paper(family, shots):
    base = tiny_model(family)
    splits = tiny_splits(LABELS)
    encoder = tiny_encoder(base, LABELS)
    rows = splits.validation

    def probabilities(tuned, examples):
        scores = Scorer(tuned, encoder, None, 4).run(examples).scores
        return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)

    raw = attach(base, splits, shots=shots)
    empty = [example(900 + i, text, 0) for i, text in enumerate(("N/A", "[MASK]", ""))]
    without_content = probabilities(raw, empty).mean(0)
    weighted = probabilities(raw, rows) / without_content  # W p, W = diag(p_cf)^-1
    expected = weighted / weighted.sum(1, keepdims=True)
    found = probabilities(attach(base, splits, shots=shots, calibrate=True), rows)
    assert_close(found, expected)
    assert abs(found - probabilities(raw, rows)).max() > 1e-3


def test_calibration_leaves_out_an_input_of_nothing():
    splits = replace(tiny_splits(LABELS), template="{text}")
    base = tiny_model()
    tuned = attach(base, splits, calibrate=True)
    encoder = tiny_encoder(base, LABELS, "{text}")
    assert np.isfinite(Scorer(tuned, encoder, None, 4).run(splits.validation).scores).all()


def test_only_examples_make_a_seed_matter():
    assert not HardPrompt().stochastic
    assert not HardPrompt(calibrate=True).stochastic
    assert HardPrompt(shots=4).stochastic


def test_a_negative_number_of_shots_is_refused():
    with pytest.raises(ValidationError):
        HardPrompt(shots=-1)
