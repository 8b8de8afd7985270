from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from bench.core.errors import BadInput, Unavailable
from bench.metrics import metrics

PEERS = {
    "accuracy": accuracy_score,
    "f1_macro": lambda y, p: f1_score(y, p, average="macro", zero_division=0),
    "mcc": matthews_corrcoef,
}

label = st.integers(0, 3)


@pytest.mark.filterwarnings("ignore:A single label was found")  # by the peer itself
@pytest.mark.parametrize("name", PEERS)
@settings(max_examples=10, deadline=None)
@given(pairs=st.lists(st.tuples(label, label), min_size=1, max_size=50))
def test_a_metric_agrees_with_scikit_learn(name, pairs):
    predictions, references = map(list, zip(*pairs, strict=True))
    score = metrics.build(name, {}, name).compute(predictions, references)
    assert score == pytest.approx(float(PEERS[name](references, predictions)), abs=1e-12)


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("error")
def test_one_label_only_is_scored_without_a_warning(name):
    assert metrics.build(name, {}, name).compute([1, 1], [1, 1]) == (0 if name == "mcc" else 1)


def test_a_metric_knows_predictions_from_references():
    f1 = metrics.build("f1_macro", {}, "x")
    assert f1.compute(predictions=[0, 0, 0, 1], references=[0, 0, 1, 1]) == pytest.approx(11 / 15)


def test_always_predicting_the_most_frequent_label_looks_good_by_accuracy_and_not_by_mcc():
    assert metrics.build("mcc", {}, "x").compute([0, 0, 0, 0], [0, 0, 0, 1]) == 0
    assert metrics.build("accuracy", {}, "x").compute([0, 0, 0, 0], [0, 0, 0, 1]) == 0.75


def test_the_module_of_a_metric_takes_batches_and_can_be_combined():
    import evaluate

    both = evaluate.combine([metrics.build(name, {}, name).module() for name in ("accuracy", "mcc")])
    both.add_batch(predictions=[0, 1], references=[0, 1])
    both.add_batch(predictions=[1, 1], references=[0, 1])
    assert both.compute() == {"accuracy": 0.75, "matthews_correlation": pytest.approx(0.5773502)}


def test_sequences_of_different_length_are_refused():
    with pytest.raises(ValueError, match="Mismatch in the number of predictions"):
        metrics.build("accuracy", {}, "x").compute([0, 1], [0])


def test_a_score_takes_a_moment_only_and_leaves_nothing_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accuracy = metrics.build("accuracy", {}, "x")
    accuracy.compute([0], [0])  # imports
    begin = time.process_time()
    for _ in range(10):
        accuracy.compute([0, 1] * 500, [0, 0] * 500)
    assert time.process_time() - begin < 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", PEERS)
def test_greater_is_better_for_the_built_in_metrics_and_cannot_be_turned_round(name):
    assert metrics.build(name, {}, name).greater_is_better
    with pytest.raises(BadInput, match=r"x\.greater_is_better: input should be True"):
        metrics.build(name, {"greater_is_better": False}, "x")


MODULE = """
import datasets
import evaluate

class Distance(evaluate.Metric):
    def _info(self):
        label = datasets.Value("int64")
        features = datasets.Features({"predictions": label, "references": label})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references, scale=1):
        far = [abs(p - r) for p, r in zip(predictions, references)]
        return {"mean": scale * sum(far) / len(far), "each": far}
"""


@pytest.fixture
def distance(tmp_path, monkeypatch):
    """Options for a metric in a folder: what the hub would have sent."""
    import evaluate

    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", tmp_path / "modules")
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "metrics")
    folder = tmp_path / "distance"
    folder.mkdir()
    (folder / "distance.py").write_text(MODULE)
    return {"id": str(folder), "trust_remote_code": True, "greater_is_better": False}


def test_a_module_of_a_folder_or_the_hub_is_a_metric_like_any_other(distance):
    metric = metrics.build("hub", {**distance, "key": "mean", "options": {"scale": 10}}, "x")
    assert not metric.greater_is_better
    assert metric.compute([0, 3], [0, 1]) == 10
    assert metric.compute([0, 1], [0, 1]) == 0


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "returns mean, each: choose one by 'key'"),
        ("meen", "returns no 'meen'; did you mean 'mean'"),
        ("each", r"'each' is not one number but \[0, 2\]"),
    ],
)
def test_the_value_that_counts_has_to_be_a_number_of_the_module(distance, key, message):
    with pytest.raises(BadInput, match=message):
        metrics.build("hub", {**distance, "key": key}, "x").compute([0, 3], [0, 1])


def test_code_of_the_hub_does_not_run_before_it_is_trusted():
    with pytest.raises(BadInput, match=r"x: the metric 'f1' is Python code .* set trust_remote_code: true"):
        metrics.build("hub", {"id": "f1"}, "x")


def test_a_metric_that_cannot_be_had_is_said_in_one_line(monkeypatch):
    import evaluate

    def unreachable(*args, **kwargs):
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(evaluate, "load", unreachable)
    with pytest.raises(Unavailable, match=r"metric 'f1' cannot be loaded.*: no network$"):
        metrics.build("hub", {"id": "f1", "trust_remote_code": True}, "x").compute([0], [0])
