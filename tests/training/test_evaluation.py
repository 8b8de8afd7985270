"""Scores of label words, held against transformers itself, one example at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from numerics import assert_close, log_likelihoods

from bench.forward.decoding import Recomputed
from bench.methods.base import TunedModel
from bench.methods.hard_prompt import HardPrompt
from bench.methods.prompt_tuning import PromptTuning
from bench.methods.tuned.prompt_tuning import SoftPrompt
from bench.metrics import metrics
from bench.testing.tiny import tiny_encoder, tiny_examples, tiny_model, tiny_splits
from bench.training.evaluation import Pass, Scorer
from bench.training.prepared import score

EXAMPLES = tiny_examples(13)
SEVERAL = ("yes", "maybe", "no, not at all")


def reference(base, encoder, examples):
    """Return [n, C] the log-likelihoods of all labels' tokens."""
    after = [1] if base.kind == "seq2seq" else []
    rows = [[*base.tokenizer(e.text, add_special_tokens=False)["input_ids"], *after] for e in examples]
    return [[log_likelihoods(base, ids, target) for target in encoder.label_ids] for ids in rows]


@pytest.mark.parametrize("size", [1, 4, 64])
def test_single_token_labels_are_scored_by_their_logits(size):
    base = tiny_model()
    encoder = tiny_encoder(base)
    assert encoder.single_token_labels
    done = Scorer(TunedModel(base), encoder, None, size).run(EXAMPLES)
    # Logits differ from log-probabilities by a constant an example.
    expected = np.array(reference(base, encoder, EXAMPLES))[:, :, 0]
    assert_close(done.scores[:, 0] - done.scores[:, 1], expected[:, 0] - expected[:, 1])
    assert np.ptp(expected[:, 0] - expected[:, 1]) > 0.1

    probabilities = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    predicted = done.predictions(EXAMPLES, tiny_splits())
    assert predicted.predictions == probabilities.argmax(1).tolist()
    assert_close(predicted.confidences, probabilities.max(1))
    assert predicted.ids == [e.id for e in EXAMPLES]
    assert predicted.references == [e.label for e in EXAMPLES]


@pytest.mark.parametrize("family", ["llama", "bloom", "t5"])
@pytest.mark.parametrize("size", [1, 5, 64])
def test_labels_of_several_tokens_are_scored_by_their_mean_log_likelihood(family, size):
    base = tiny_model(family)
    encoder = tiny_encoder(base, SEVERAL)
    done = Scorer(TunedModel(base), encoder, None, size).run(EXAMPLES)
    expected = [[np.mean(tokens) for tokens in row] for row in reference(base, encoder, EXAMPLES)]
    assert_close(done.scores, expected)


@pytest.mark.parametrize("labels", [("yes", "no"), SEVERAL], ids=["one token", "several"])
def test_loss_is_the_mean_cross_entropy_of_the_right_labels_tokens_and_perplexity_its_exponential(labels):
    base = tiny_model()
    encoder = tiny_encoder(base, labels)
    done = Scorer(TunedModel(base), encoder, None, 4).run(EXAMPLES)
    rows = reference(base, encoder, EXAMPLES)
    tokens = [value for row, e in zip(rows, EXAMPLES, strict=True) for value in row[e.label]]
    assert done.loss == pytest.approx(-np.mean(tokens), rel=1e-5)
    evaluated = done.evaluated(7, {})
    assert (evaluated.step, evaluated.loss) == (7, done.loss)
    assert evaluated.perplexity == pytest.approx(math.exp(done.loss))


def test_a_trained_prompt_is_scored_like_any_model():
    base = tiny_model()
    encoder = tiny_encoder(base)
    tuned = SoftPrompt(base, torch.randn(5, 32, generator=torch.Generator().manual_seed(0)))
    done = Scorer(tuned, encoder, None, 4).run(EXAMPLES)
    with torch.no_grad():
        for example, scores in zip(EXAMPLES, done.scores, strict=True):
            ids = torch.tensor(base.tokenizer(example.text)["input_ids"])
            embedded = torch.cat([tuned.prompt, base.network.get_input_embeddings()(ids)])
            logits = base.network(inputs_embeds=embedded[None]).logits[0, -1]
            expected = [logits[ids[0]].item() for ids in encoder.label_ids]
            assert_close(scores, expected)


class Reader(TunedModel):
    """Reads the label off the example's first letter: never wrong, whatever the order of the batches."""

    def logits(self, batch):
        first = batch.input_ids[batch.positions.any(1).nonzero()[:, 0], 0]
        logits = torch.zeros(len(batch.targets), 112)
        letters = self.base.tokenizer("ab", add_special_tokens=False)["input_ids"]
        for row, letter in enumerate(first.tolist()):
            logits[row, self.words[letters.index(letter)]] = 5.0
        return logits


def test_metrics_see_predictions_in_the_order_of_the_split_though_batches_are_sorted():
    base = tiny_model()
    encoder = tiny_encoder(base)
    reader = Reader(base)
    reader.words = [ids[0] for ids in encoder.label_ids]
    lengths = [len(e.text) for e in EXAMPLES]
    assert lengths != sorted(lengths, reverse=True)
    done = Scorer(reader, encoder, None, 3).run(EXAMPLES)
    measured = {name: metrics.build(name, {}, name) for name in ("accuracy", "mcc")}

    def scores(examples):
        return done.evaluated(0, score(done.answered(examples, tiny_splits()), measured)).metrics

    assert scores(EXAMPLES) == {"accuracy": 1.0, "mcc": 1.0}
    assert scores([replace(e, label=1 - e.label) for e in EXAMPLES]) == {"accuracy": 0.0, "mcc": -1.0}


def test_tokens_that_were_run_and_inputs_that_were_cut_are_counted():
    base = tiny_model()
    encoder = tiny_encoder(base)
    lengths = [len(base.tokenizer(e.text)["input_ids"]) for e in EXAMPLES]
    done = Scorer(TunedModel(base), encoder, 9, 4).run(EXAMPLES)
    assert done.truncated == sum(n > 9 for n in lengths) > 0
    assert done.tokens == sum(min(n, 9) for n in lengths)


def test_evaluation_is_in_eval_mode_and_leaves_no_graph():
    base = tiny_model()
    tuned = PromptTuning().attach(base, tiny_splits(), 0)
    seen = []
    inner = tuned.logits

    def logits(batch):
        out = inner(batch)
        seen.append((base.network.training, out.requires_grad))
        return out

    tuned.logits = logits
    tuned.train(True)
    Scorer(tuned, tiny_encoder(base), None, 4).run(EXAMPLES)
    assert set(seen) == {(False, False)}


@pytest.mark.parametrize("loss", [math.inf, math.nan, None])
def test_a_loss_that_is_no_number_is_none(loss):
    evaluated = Pass(np.zeros((1, 2)), None if loss is None else np.array([loss]), 1, 1, 0, 0, 0).evaluated(0, {})
    assert (evaluated.loss, evaluated.perplexity) == (None, None)


# What models answer when they are left free


class Parrot(TunedModel):
    """Answers what it is told to, token by token, to every input whose first letter is in a table."""

    def __init__(self, base, answers):
        super().__init__(base)
        tokenize = lambda text: base.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
        self.answers = {tokenize(letter)[0]: tokenize(text) for letter, text in answers.items()}

    def decoding(self, batch):
        steps = count()
        return Recomputed(lambda longer: self._said(longer, next(steps)), batch)

    def _said(self, batch, step):
        answers = [self.answers[ids[0].item()] for ids in batch.input_ids]
        tokens = [answer[step] if step < len(answer) else 1 for answer in answers]
        return torch.nn.functional.one_hot(torch.tensor(tokens), 112).float()


@pytest.mark.parametrize(
    ("answers", "share"),
    [
        ({"a": " yes", "b": " no"}, 0.0),
        ({"a": " good", "b": " bad"}, 1.0),
        ({"a": " yes", "b": " bad"}, 6 / 13),
        ({"a": " maybe", "b": " may"}, 6 / 13),
        ({"a": " maybe", "b": " maybel"}, 6 / 13),
        ({"a": "yes.", "b": "\nno"}, 0.0),
    ],
)
def test_answers_that_begin_with_no_label_word_are_counted(answers, share):
    base = tiny_model()
    scorer = Scorer(Parrot(base, answers), tiny_encoder(base, ("yes", "no", "maybe")), None, 3)
    assert scorer.non_label_share(EXAMPLES) == pytest.approx(share)


class Noting(TunedModel):
    """Keeps what it has generated."""

    def generate(self, inputs, settings, **options):
        self.generated = super().generate(inputs, settings, **options)
        return self.generated


def test_free_answers_are_the_greedy_ones_of_transformers():
    base = tiny_model()
    tuned, encoder = Noting(base), tiny_encoder(base, SEVERAL)
    Scorer(tuned, encoder, None, 4).non_label_share(EXAMPLES[:4])
    length = max(map(len, encoder.label_ids)) + 1  # one more, to see whether the word goes on
    inputs, _ = encoder.inputs(EXAMPLES[:4], None)
    expected = [
        base.network.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=length)[0, len(ids) :].tolist()
        for ids in inputs
    ]
    assert [list(answer.ids) for answer in tuned.generated] == expected


def test_without_examples_there_is_no_share():
    base = tiny_model()
    assert Scorer(TunedModel(base), tiny_encoder(base), None, 4).non_label_share([]) is None


class Asking(TunedModel):
    """Scores the split itself as an input of its own, as well."""

    def score_labels(self, examples, by_logits):
        by_logits(examples, of_split=False)
        return by_logits(examples)


def test_what_a_method_says_is_not_of_the_split_is_run_and_not_counted_as_such():
    base = tiny_model()
    plain, asking = (Scorer(of(base), tiny_encoder(base), 9, 4).run(EXAMPLES) for of in (TunedModel, Asking))
    assert asking.loss == plain.loss
    assert asking.truncated == plain.truncated > 0
    assert (asking.tokens, asking.answers) == (2 * plain.tokens, 2 * plain.answers)


def test_what_calibration_asks_for_is_no_part_of_the_loss():
    base, splits = tiny_model(), tiny_splits()
    losses = []
    for calibrate in (False, True):
        tuned = HardPrompt(calibrate=calibrate).attach(base, splits, 0)
        losses.append(Scorer(tuned, tiny_encoder(base), None, 8).run(splits.validation).loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
