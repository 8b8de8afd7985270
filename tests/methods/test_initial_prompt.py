"""Where a prompt begins: Lester et al. (2021), section 3.2."""

from __future__ import annotations

from dataclasses import replace
from tempfile import TemporaryDirectory

import pytest
import torch
from numerics import assert_close
from pydantic import ValidationError
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bench.methods.prompt_tuning import PromptTuning
from bench.models.language_model import LanguageModel
from bench.testing.tiny import tiny_model, tiny_splits
from bench.training.encoding import Encoder

LABELS = ("yes", "maybe")


def begin(base=None, seed=0, labels=LABELS, **options):
    return PromptTuning(**options).initial_prompt(base or tiny_model(), tiny_splits(labels), seed)


def embeddings(base, ids):
    return base.network.get_input_embeddings()(torch.tensor(ids))


def tokens(base, text):
    return base.tokenizer(text, add_special_tokens=False)["input_ids"]


def ids_of(base, rows):
    """Return the tokens of which ``rows`` are the embeddings, bit for bit."""
    return (rows[:, None] == base.network.get_input_embeddings().weight).all(-1).nonzero()[:, 1].tolist()


def test_random_is_uniform_between_minus_a_half_and_a_half():
    prompt = begin(init="random", num_virtual_tokens=200)
    assert prompt.shape == (200, 32)
    assert prompt.min() >= -0.5
    assert prompt.max() <= 0.5
    assert prompt.mean().abs() < 0.02
    assert prompt.std() == pytest.approx(1 / 12**0.5, rel=0.02)


@pytest.mark.parametrize("init", ["random", "vocab", "labels"])
def test_the_seed_alone_decides_what_is_drawn(init):
    base = tiny_model()
    torch.manual_seed(1)
    first = begin(base, seed=5, init=init)
    torch.manual_seed(2)
    assert torch.equal(first, begin(base, seed=5, init=init))
    assert not torch.equal(first, begin(base, seed=6, init=init))


def test_drawing_leaves_torchs_own_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    for init in ("random", "vocab", "labels", "text"):
        begin(init=init)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("family", ["llama", "gemma3", "t5"])
def test_text_is_what_the_model_itself_would_see(family):
    # gemma3 scales its embeddings: the prompt stands behind that.
    base = tiny_model(family)
    ids = tokens(base, "the good dog")
    prompt = begin(base, init="text", init_text="the good dog", num_virtual_tokens=len(ids))
    assert torch.equal(prompt, embeddings(base, ids))


def test_text_has_no_special_tokens():
    base = tiny_model(bos=True)
    prompt = begin(base, init="text", init_text="the", num_virtual_tokens=1)
    assert torch.equal(prompt, embeddings(base, tokens(base, "the")))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 50])
def test_text_is_trimmed_or_repeated_to_p_tokens(length):
    base = tiny_model()
    ids = tokens(base, "abc")
    assert len(ids) == 3
    prompt = begin(base, init="text", init_text="abc", num_virtual_tokens=length)
    assert torch.equal(prompt, embeddings(base, [ids[i % 3] for i in range(length)]))


def test_without_a_text_the_label_words_are_named():
    base = tiny_model()
    one, other = (begin(base, init="text", num_virtual_tokens=60, labels=labels) for labels in (LABELS, ("up", "down")))
    assert not torch.equal(one, other)


def test_vocab_draws_different_real_embeddings_and_no_special_tokens():
    base = tiny_model()
    prompt = begin(base, init="vocab", num_virtual_tokens=61)
    # All 61 of the tokenizer's, none above though the embedding has more rows, no special tokens.
    assert sorted(ids_of(base, prompt)) == list(range(4, 65))


def test_vocab_draws_from_the_five_thousand_most_frequent():
    words = ["<pad>", *(f"w{i}" for i in range(5399))]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")
    network = LlamaForCausalLM(config).requires_grad_(False)
    # The embedding of token i begins with i.
    network.get_input_embeddings().weight[:, 0] = torch.arange(len(words)).float()
    base = LanguageModel(network, tokenizer, "causal", 0, 64, "tiny")

    ids = begin(base, init="vocab", num_virtual_tokens=1000)[:, 0]
    assert len(ids.unique()) == 1000
    assert ids.min() >= 1
    assert 4800 < ids.max() <= 5000


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize(("template", "before"), [("{text}\ntype:", " "), ("{text}\ntype: ", ""), ("{text}", " ")])
def test_labels_begin_with_the_mean_embedding_of_each_label_word_as_it_stands_behind_the_template(
    family, template, before
):
    base = tiny_model(family)
    dataset = replace(tiny_splits(LABELS), template=template)
    prompt = PromptTuning(init="labels", num_virtual_tokens=5).initial_prompt(base, dataset, 0)
    for row, word, ids in zip(prompt, LABELS, Encoder(base, template, LABELS).label_ids, strict=False):
        assert ids == tokens(base, before + word)
        assert_close(row, embeddings(base, ids).mean(0))
    if family == "llama":
        assert len(ids_of(base, prompt[2:])) == 3  # the rest is drawn from the vocabulary


def test_labels_of_an_encoder_decoder_stand_alone_without_special_tokens():
    base = tiny_model("t5")
    prompt = begin(base, init="labels", num_virtual_tokens=2)
    for row, word in zip(prompt, LABELS, strict=True):
        assert_close(row, embeddings(base, tokens(base, word)).mean(0))


def test_normal_has_variance_one_and_vocab_norm_the_length_of_the_vocabularys_rows():
    base = tiny_model("gemma3")
    assert begin(base, init="random", init_scale="normal", num_virtual_tokens=200).std() == pytest.approx(1, rel=0.02)
    prompt = begin(base, init="random", init_scale="vocab_norm", num_virtual_tokens=200)
    expected = embeddings(base, range(112)).norm(dim=1).mean()
    assert_close(prompt.norm(dim=1), expected.expand(200))
    assert (prompt @ prompt.T).fill_diagonal_(0).mean().abs() < 0.05 * expected**2  # in all directions


def test_all_of_the_vocabulary_goes_beyond_the_frequent_tokens(monkeypatch):
    monkeypatch.setattr("bench.methods.initial_prompt.FREQUENT_TOKENS", 10)
    base = tiny_model()
    assert set(ids_of(base, begin(base, init="vocab", num_virtual_tokens=60))) == set(range(4, 14))
    every = begin(base, init="vocab", init_vocab="all", num_virtual_tokens=61)
    assert sorted(ids_of(base, every)) == list(range(4, 65))


def test_text_with_special_tokens_is_pefts_own_initialisation():
    from peft import PromptTuningConfig, PromptTuningInit, get_peft_model

    base = tiny_model(bos=True)
    ours = begin(base, init="text", init_text="the good dog", init_special_tokens=True, num_virtual_tokens=9)
    with TemporaryDirectory() as folder:
        base.tokenizer.save_pretrained(folder)
        config = PromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=9,
            prompt_tuning_init=PromptTuningInit.TEXT,
            prompt_tuning_init_text="the good dog",
            tokenizer_name_or_path=folder,
        )
        theirs = get_peft_model(base.network, config)
    assert torch.equal(ours, theirs.prompt_encoder["default"].embedding.weight)


def test_with_fewer_virtual_tokens_than_labels_the_first_labels_are_taken():
    base = tiny_model()
    assert torch.equal(
        begin(base, init="labels", num_virtual_tokens=1, seed=1), begin(base, init="labels", num_virtual_tokens=1)
    )


def test_attach_begins_with_the_drawn_prompt_and_counts_it():
    base = tiny_model()
    tuned = PromptTuning(init="vocab", num_virtual_tokens=9).attach(base, tiny_splits(), seed=4)
    (prompt,) = tuned.trainable().values()
    assert torch.equal(prompt, begin(base, seed=4, init="vocab", num_virtual_tokens=9))
    assert prompt.requires_grad
    assert tuned.virtual_tokens == 9
    assert tuned.added_parameters() == 9 * 32


@pytest.mark.parametrize(
    "options", [{"num_virtual_tokens": 0}, {"init": "txt"}, {"init_text": ""}, {"init_text": " "}, {"tokens": 5}]
)
def test_what_cannot_be_is_refused(options):
    with pytest.raises(ValidationError):
        PromptTuning(**options)
