"""The baseline of counted words is scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from bench.core.errors import Infeasible
from bench.methods.tfidf_logistic import TfidfLogistic
from bench.testing.tiny import example, tiny_splits
from bench.training.evaluation import Scorer

WORDS = (("good dog", 0), ("bad fox", 1), ("a good day", 0), ("so bad", 1), ("good good", 0), ("a bad word", 1))
SPLITS = replace(
    tiny_splits(("yes", "no", "maybe")), train=tuple(example(i, text, label) for i, (text, label) in enumerate(WORDS))
)
QUESTIONS = tuple(example(50 + i, text, label) for i, (text, label) in enumerate((("the good", 0), ("the bad", 1))))


def scores(splits=SPLITS, **options):
    tuned = TfidfLogistic(**options).attach(None, splits, 0)  # type: ignore[arg-type]
    return Scorer(tuned, None, None, 4).run(QUESTIONS).scores


def test_the_probabilities_are_those_of_scikit_learn():
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    features = vectorizer.fit_transform([e.text for e in SPLITS.train])
    model = LogisticRegression(C=3.0, max_iter=2000).fit(features, [e.label for e in SPLITS.train])
    expected = model.predict_proba(vectorizer.transform([e.text for e in QUESTIONS]))
    np.testing.assert_allclose(np.exp(scores(C=3.0))[:, :2], expected, rtol=1e-6)


def test_it_learns_and_a_label_that_train_lacks_is_never_predicted():
    found = scores()
    assert found.shape == (2, 3)
    assert found.argmax(1).tolist() == [0, 1]
    assert np.exp(found[:, 2]).max() < 1e-6


@pytest.mark.parametrize("options", [{"analyzer": "char_wb", "ngram_max": 4}, {"balanced": True}, {"min_df": 2}])
def test_its_options_are_taken(options):
    assert scores(**options).argmax(1).tolist() == [0, 1]


def test_a_train_split_of_one_label_is_infeasible():
    with pytest.raises(Infeasible, match=r"tfidf_logistic: .*class"):
        scores(replace(SPLITS, train=SPLITS.train[::2]))


def test_features_that_no_text_has_are_infeasible():
    with pytest.raises(Infeasible, match="tfidf_logistic"):
        scores(replace(SPLITS, train=(example(1, "...", 0), example(2, "!!", 1)), template="{text}"), min_df=3)
