"""What answers in free text without a language model."""

from __future__ import annotations

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from bench.datasets.answers import FreeText, LabelWord, Option
from bench.datasets.examples import Example
from bench.datasets.splits import Splits
from bench.methods import methods
from bench.methods.attaching import attach
from bench.methods.first_sentence import FirstSentence
from bench.methods.nearest_answer import NearestAnswer
from bench.testing.tiny import tiny_splits


def written(method, splits, texts):
    tuned = attach(method, None, splits, 0)
    answers = tuned.write([Example(text, text, 0, ("?",)) for text in texts], None)
    return [one.text for one in answers]


def splits_of(pairs, template="{text}"):
    train = tuple(Example(text, text, 0, (answer,)) for text, answer in pairs)
    return Splits(train, (), (), (), "", 0, template, answer=FreeText())


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("It rained. It stopped.", "It rained."),
        ("It cost 3.50 euros! And more.", "It cost 3.50 euros!"),
        ("No end", "No end"),
        ("下雨了。雨停了。", "下雨了。"),
        ("A headline\nA text.", "A headline"),
        ("", ""),
    ],
)
def test_the_first_sentence_is_that_of_the_input_without_the_template(text, first):
    splits = splits_of([], "Summarise: {text}\nSummary:")
    assert written(FirstSentence(), splits, [f"Summarise: {text}\nSummary:"]) == [first]


def test_the_nearest_answer_is_that_of_the_training_text_with_the_greatest_cosine():
    pairs = [("where is the cat", "on the mat"), ("what colour is the sky", "blue"), ("猫在哪里", "在垫子上")]
    asked = ["the sky, what colour has it?", "你的猫在哪里呢", "is the cat there", "where"]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    known = vectors.fit_transform([text for text, _ in pairs])
    nearest = cosine_similarity(vectors.transform(asked), known).argmax(1)
    assert written(NearestAnswer(), splits_of(pairs), asked) == [pairs[i][1] for i in nearest]


@pytest.mark.parametrize("name", ["majority", "tfidf_logistic"])
@pytest.mark.parametrize("answer", [FreeText(), Option()])
def test_what_counts_labels_refuses_answers_that_are_none(name, answer):
    assert answer.title in methods.build(name, {}, "x").refuses(answer)
    assert methods.build(name, {}, "x").refuses(LabelWord()) is None


@pytest.mark.parametrize("name", ["first_sentence", "nearest_answer"])
def test_what_writes_refuses_label_words(name):
    assert "label words" in methods.build(name, {}, "x").refuses(tiny_splits().answer)
