"""From text to token ids: label words, truncation, batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numerics import assert_close
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bench.core.errors import BadInput, Infeasible
from bench.datasets.examples import Example
from bench.methods.base import TunedModel
from bench.testing.tiny import (
    SPECIALS,
    example,
    handle,
    tiny_encoder,
    tiny_examples,
    tiny_model,
    tiny_network,
    tiny_tokenizer,
)
from bench.training.encoding import Encoder

TEXTS = ("a", "the lazy dog, and the good fox", "0123456789", "bad good")


@pytest.fixture(scope="module")
def llama():
    return tiny_model()


@pytest.fixture(scope="module")
def t5():
    return tiny_model("t5")


def ids_of(base, text):
    return base.tokenizer(text, add_special_tokens=False)["input_ids"]


def examples_of(*texts):
    return [Example(f"{i}", text, 0) for i, text in enumerate(texts)]


# Label words


@pytest.mark.parametrize("word", ["yes", "maybe", "not at all", "good"])
@pytest.mark.parametrize("template", ["{text}\ntype:", "{text}\n", "{text}", "{text}. good or bad?"])
def test_a_label_word_has_the_tokens_it_has_behind_the_templates_end(llama, template, word):
    encoder = tiny_encoder(llama, (word, "other"), template)
    before = template.format(text="fox")
    joined = before + word if before[-1].isspace() else f"{before} {word}"
    assert [*ids_of(llama, before), *encoder.label_ids[0]] == ids_of(llama, joined)


def test_the_space_before_a_word_is_part_of_it_unless_it_is_the_templates(llama):
    assert tiny_encoder(llama).single_token_labels
    encoder = tiny_encoder(llama, template="{text}\ntype: ")
    assert encoder.label_ids == [ids_of(llama, "yes"), ids_of(llama, "no")]
    assert not encoder.single_token_labels


def test_a_label_word_of_an_encoder_decoder_ends_the_answer(t5):
    encoder = tiny_encoder(t5)
    assert encoder.label_ids[0] == [*ids_of(t5, "yes"), 1]


def word_level(*words):
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*SPECIALS, *words])}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")


def test_label_words_that_are_the_same_tokens_are_refused_by_name():
    base = handle(tiny_network(), word_level("type", "yes"))
    with pytest.raises(BadInput, match="'nay' and 'no' are the same tokens"):
        tiny_encoder(base, ("yes", "no", "nay"))


def test_a_label_word_without_tokens_is_refused_by_name():
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.model.unk_token = None  # drops what it does not know
    with pytest.raises(BadInput, match="'É' has no tokens"):
        tiny_encoder(handle(tiny_network(), tokenizer), ("É", "yes"), "{text}\n")


# Truncation


@given(length=st.integers(1, 60), room=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_a_text_that_is_too_long_loses_its_beginning_and_is_counted(length, room):
    encoder = ENCODER
    text = ("abcdefghijklmnopqrstuvwxyz0123456789" * 2)[:length]
    (row,), cut = encoder.inputs([Example(text, text, 0)], room)
    whole = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert row == [0, *whole[-room:]]
    assert cut == (length > room)


ENCODER = tiny_encoder(tiny_model(bos=True))


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_special_tokens_stand_around_the_text_cut_or_not(family):
    encoder = tiny_encoder(tiny_model(family, bos=True))
    rows, cut = encoder.inputs(examples_of("abc", "abcdefghijkl"), room=5)
    end = [1] if family == "t5" else []
    letters = encoder.tokenizer("abcdefghijkl", add_special_tokens=False)["input_ids"]
    assert rows == [[0, *letters[:3], *end], [0, *letters[-5:], *end]]
    assert cut == 1


@given(virtual=st.integers(0, 230), limit=st.none() | st.integers(14, 300), words=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_virtual_tokens_text_and_label_fit_the_context_and_the_label_is_whole(virtual, limit, words):
    base = BASES["llama"]
    encoder = Encoder(base, "{text}\ntype:", ("yes", "no, not at all"))
    room = encoder.room(virtual, limit)
    (row,), _ = encoder.inputs([Example(str(words), "the " * words + "fox", 1)], room)
    target = encoder.label_ids[1]
    batch = encoder.batch([(row, target)])
    assert virtual + batch.input_ids.shape[1] <= 256
    assert limit is None or batch.input_ids.shape[1] <= limit
    assert batch.targets.tolist() == target
    if len(ids_of(base, "the " * words + "fox")) > room:
        # Nothing is given away: the label counts whole, though its last token is asked for and never read.
        assert len(row) + len(target) == min(256 - virtual, limit or 256)


BASES = {"llama": tiny_model(bos=True), "t5": tiny_model("t5")}


def test_without_a_limit_nothing_is_cut(t5):
    encoder = tiny_encoder(t5)
    assert encoder.room(0, None) is None
    rows, cut = encoder.inputs([example(0, "the fox " * 300, 0)], None)
    assert len(rows[0]) > 1000
    assert cut == 0


def test_a_limit_of_the_user_holds_without_one_of_the_model(t5):
    rows, cut = (encoder := tiny_encoder(t5)).inputs(examples_of("abcdefghijkl"), encoder.room(50, 8))
    assert (len(rows[0]), cut) == (8, 1)


@pytest.mark.parametrize(("virtual", "limit"), [(256, None), (255, None), (1000, None), (0, 2)])
def test_where_nothing_of_the_text_is_left_the_trial_is_infeasible(virtual, limit):
    with pytest.raises(Infeasible, match="no room"):
        ENCODER.room(virtual, limit)


def test_the_last_room_that_is_left_is_used():
    assert ENCODER.room(253, None) == 1
    assert ENCODER.room(0, 3) == 1


# Batches


ENCODERS = {"llama": ENCODER, "t5": tiny_encoder(BASES["t5"])}


@pytest.mark.parametrize("family", ENCODERS)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_padded_batch_has_the_logits_and_targets_of_its_examples_one_by_one(family, data):
    base = BASES[family]
    tokens = st.integers(4, 60)
    rows = st.tuples(st.lists(tokens, min_size=1, max_size=25), st.lists(tokens, min_size=1, max_size=5))
    pairs = data.draw(st.lists(rows, min_size=1, max_size=6))
    batch = ENCODERS[family].batch(pairs)
    with torch.no_grad():
        together = TunedModel(base).logits(batch)
        if family == "t5":  # as transformers itself shifts labels to the right
            alone = [base.network(torch.tensor([ids]), labels=torch.tensor([to])).logits[0] for ids, to in pairs]
        else:
            whole = [base.network(torch.tensor([[*ids, *to]])).logits[0] for ids, to in pairs]
            alone = [logits[len(ids) - 1 : -1] for logits, (ids, _) in zip(whole, pairs, strict=True)]
    assert_close(together, torch.cat(alone))
    assert batch.targets.tolist() == [token for _, target in pairs for token in target]
    assert len(batch) == len(pairs)


def test_a_batch_is_padded_on_the_right_to_its_own_longest(llama):
    batch = tiny_encoder(llama).batch([([5, 6, 7], [8]), ([9], [10, 11])])
    assert batch.input_ids.tolist() == [[5, 6, 7], [9, 10, 2]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.positions.tolist() == [[False, False, True], [True, True, False]]
    assert batch.targets.tolist() == [8, 10, 11]


def test_a_batch_of_an_encoder_decoder_begins_with_its_start_token(t5):
    batch = tiny_encoder(t5).batch([([5, 6, 7], [8, 1]), ([9], [10, 11, 1])])
    assert batch.input_ids.tolist() == [[5, 6, 7], [9, 2, 2]]
    assert batch.decoder_input_ids.tolist() == [[2, 8, 2], [2, 10, 11]]
    assert batch.positions.tolist() == [[True, True, False], [True, True, True]]


def test_texts_are_encoded_once_and_cut_anew_for_every_trial(llama, monkeypatch):
    encoder = tiny_encoder(llama)
    examples = tiny_examples(5)
    whole, _ = encoder.inputs(examples, None)
    monkeypatch.setattr(encoder, "tokenizer", None)
    short, cut = encoder.inputs(examples, 6)
    again, _ = encoder.inputs(examples, None)
    assert [row[-6:] for row in whole] == short
    assert again == whole
    assert cut == sum(len(row) > 6 for row in whole)
