"""What the cells of a comparison say together, from records."""

from __future__ import annotations

import pytest
from report_records import answered, cell, majority, run, study

from bench.core.distributions import Float
from bench.experiment.settings import Study
from bench.reporting.figures import Drawing, figures
from bench.reporting.findings import counted_trials, expected_curve, over_tasks, pair_tests, ranks_by_method, searches
from bench.reporting.grouping import group_cells
from bench.reporting.page.tables import statistics_tables
from bench.reporting.statistics.search import expected_best_band, learning_rate_sensitivity
from bench.runs.record import Evaluated

RATES = {"learning_rate": Float(low=1e-6, high=1e-1, log=True)}


def test_scores_of_different_tasks_are_pooled_on_the_scale_between_the_majority_class_and_perfect():
    records = [*majority(50, dataset="even"), *majority(90, dataset="spam")]
    for dataset, scores in (("even", {"a": 0.75, "b": 0.5}), ("spam", {"a": 0.95, "b": 0.9})):
        for method, score in scores.items():
            records += study(cell("tiny", dataset, method), [score] * 3, items=100)
    (found,) = over_tasks(group_cells(records))
    assert {one.method: one.iqm for one in found.aggregates} == pytest.approx({"a": 0.5, "b": 0.0})
    assert found.tasks == ("tiny / even", "tiny / spam")


def test_what_has_no_known_scale_is_not_pooled_and_that_is_said():
    records = [record for d in "xy" for m in "ab" for record in study(cell("tiny", d, m), [0.5, 0.6, 0.7])]
    cells = group_cells(records)
    (found,) = over_tasks(cells)
    assert (found.aggregates, found.tasks, found.unscaled) == ((), (), ("tiny / x", "tiny / y"))
    assert found.outcomes["a", "b"]["undecided"] == 2
    assert any("so nothing is pooled" in table.about for table in statistics_tables(cells))
    assert pair_tests(cells) == []


def test_methods_are_pooled_over_the_tasks_that_they_share_though_one_has_more_and_ranks_are_of_these_tasks():
    scores = {"a": [0.8, 0.81, 0.82], "b": [0.6, 0.6, 0.61], "c": [0.3, 0.31, 0.32]}
    tasks = {"a": "wxyz", "b": "wxy", "c": "wxz"}
    records = [r for m, ds in tasks.items() for d in ds for r in study(cell("tiny", d, m), scores[m], items=100)]
    records += [r for d in "wxyz" for r in majority(dataset=d)]
    (found,) = over_tasks(group_cells(records))
    assert (found.methods, found.tasks) == (("a", "b", "c"), ("tiny / w", "tiny / x"))
    assert {one.method: one.rank for one in found.aggregates} == {"a": 1, "b": 2, "c": 3}, "z alone has c as second"


def test_methods_that_cannot_be_told_apart_share_a_rank():
    scores = {"a": [0.8, 0.81, 0.82], "b": [0.81, 0.8, 0.8], "c": [0.3, 0.31, 0.32]}
    records = [r for d in "xy" for m, s in scores.items() for r in study(cell("tiny", d, m), s, items=100)]
    ranks = ranks_by_method(group_cells(records))
    assert ranks == {m: {"tiny / x": rank, "tiny / y": rank} for m, rank in (("a", 1), ("b", 1), ("c", 3))}


def searched(sampler="random", **values):
    return cell(search=RATES, study=Study(sampler=sampler), **values)


def trial(of, number, rate, score, status="ok", curve=()):
    """A trial at a rate; ``curve`` are validation scores by step."""
    points = [Evaluated(step=step, metrics={"accuracy": one}) for step, one in enumerate(curve, 1)]
    values = {"validation_curve": points} if curve else {}
    return run(of, number, score=score, status=status, params={"learning_rate": rate}, **values)


def test_pruned_and_diverged_trials_count_and_sensitivity_is_over_the_declared_range():
    of = searched("tpe")
    records = [
        trial(of, 0, 1e-4, 0.8),
        trial(of, 1, 1e-3, 0.7, "pruned", curve=(0.7, 0.6)),
        trial(of, 2, 1e-2, None, "diverged"),
        trial(of, 3, 1e-5, None, "oom"),
        *(run(of, n, "final", 0.9, params={"learning_rate": 1e-4}, predictions=answered(90, 100)) for n in range(3)),
    ]
    (found,) = group_cells(records)
    assert [(one.spec.number, score) for one, score in counted_trials(found)] == [(0, 0.8), (1, 0.6), (2, 0.5)]
    (search,) = searches([found])
    assert search.counted == 3
    expected = learning_rate_sensitivity([1e-4, 1e-3, 1e-2], [0.8, 0.6, 0.5], declared=(1e-6, 1e-1))
    assert search.sensitivity == pytest.approx(expected)


def test_a_repeat_is_no_further_trial_of_the_search_and_the_score_of_what_is_chosen_is_the_mean():
    of = searched()
    trials = [trial(of, 0, 1e-4, 0.8), trial(of, 1, 1e-3, 0.7), trial(of, 2, 1e-2, 0.3)]
    repeats = [
        run(of, number, "repeat", score, params=trials[number].spec.params) for number, score in ((0, 0.2), (1, 0.6))
    ]
    (found,) = group_cells([*repeats, *trials])
    assert [score for _, score in counted_trials(found)] == [0.8, 0.7, 0.3]
    assert (found.best_params, found.validation_best) == ({"learning_rate": 1e-3}, pytest.approx(0.65))


def test_where_the_majority_class_is_not_known_a_diverged_trial_counts_as_the_worst_of_the_study():
    of = searched("tpe")
    (found,) = group_cells([trial(of, 0, 1e-4, 0.8), trial(of, 1, 1e-3, 0.3), trial(of, 2, 1e-2, None, "diverged")])
    assert [score for _, score in counted_trials(found)] == [0.8, 0.3, 0.3]


def test_only_a_random_search_without_pruning_has_a_band_and_its_first_trial_is_no_draw():
    scores = [0.9, 0.5, 0.6, 0.7]

    def curve(sampler, status="ok"):
        of = searched(sampler)
        last = trial(of, 4, 1e-3, 0.4, status)
        (found,) = group_cells([*(trial(of, n, 1e-3, score) for n, score in enumerate(scores)), last])
        return expected_curve(found)

    drawn = [0.5, 0.6, 0.7, 0.4]
    assert curve("random") == (drawn, expected_best_band(drawn, (0.0, 1.0)))
    assert curve("tpe") == ([*scores, 0.4], None)
    assert curve("random", "pruned")[1] is None


def test_the_band_is_drawn_where_there_is_one():
    def bands(sampler):
        of = searched(sampler)
        cells = group_cells(trial(of, n, 1e-3, score) for n, score in enumerate([0.9, 0.5, 0.6, 0.7]))
        (drawing,) = figures.get("expected_best")().drawings("expected_best", cells)
        assert isinstance(drawing, Drawing)
        return sum(len(axes.collections) for axes in drawing.canvas.axes)

    assert (bands("random"), bands("tpe")) == (1, 0)
