"""The quick sampler and pruners are Optuna's own, point for point; so is what is written into the database at once."""

from __future__ import annotations

import math
import random
from datetime import datetime

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import HyperbandPruner, MedianPruner, PercentilePruner
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from bench.search.bulk import insert_trials
from bench.search.history import History, HistoryTPE, QuickMedianPruner, QuickPercentilePruner

SPACE = {
    "rate": FloatDistribution(1e-4, 1, log=True),
    "size": IntDistribution(1, 16),
    "init": CategoricalDistribution(["random", "text", None]),
    "fixed": IntDistribution(3, 3),
}


def study_of(kind, pruner, seed, direction, workers=3, trials=60, **options) -> list:
    """Points and verdicts of a study whose trials end in any order, are pruned, fail, or meet walls; with many ties."""
    chance = random.Random(seed)
    study = optuna.create_study(direction=direction, pruner=pruner, study_name="s")
    history, seen, running = History(), [], []

    def end(trial):
        for step in range(1, 6):
            if chance.random() < 0.05:
                continue
            trial.report(math.nan if chance.random() < 0.02 else round(chance.random(), 1), step)
            seen.append(trial.should_prune())
            if seen[-1]:
                study.tell(trial, state=TrialState.PRUNED)
                return
        how = chance.random()
        if how < 0.1:
            trial.set_constraint("runs", 1.0)
            study.tell(trial, state=TrialState.PRUNED)
        elif how < 0.15:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, round(chance.random(), 1))

    for number in range(trials):
        study.sampler = kind(n_startup_trials=5, seed=number, **options)
        if isinstance(study.sampler, HistoryTPE):
            study.sampler.history = history
        if number == 0:
            study.enqueue_trial({"rate": 0.1, "size": 3, "init": None, "fixed": 3})
        trial = study.ask(SPACE)
        seen.append(dict(trial.params))
        running.append(trial)
        while len(running) >= workers:
            end(running.pop(chance.randrange(len(running))))
    return seen


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize(
    "options",
    [
        {"multivariate": True, "constant_liar": True},
        {"multivariate": True, "constant_liar": True, "workers": 1},
        {"multivariate": True, "constant_liar": False},
        {"multivariate": False, "constant_liar": True},
        {"multivariate": True, "group": True},
    ],
)
def test_every_point_and_every_verdict_is_optunas_own(direction, options):
    patience = {"n_startup_trials": 3, "n_warmup_steps": 1, "interval_steps": 2}
    for seed, theirs, ours in (
        (1, MedianPruner(n_startup_trials=3), QuickMedianPruner(n_startup_trials=3)),
        (2, PercentilePruner(30.0, **patience), QuickPercentilePruner(30.0, **patience)),
    ):
        expected = study_of(TPESampler, theirs, seed, direction, **options)
        assert study_of(HistoryTPE, ours, seed, direction, **options) == expected
        assert True in expected and False in expected


def test_under_hyperband_a_sampler_sees_one_bracket_as_before():
    def pruner():
        return HyperbandPruner(min_resource=1, max_resource=5)

    assert study_of(HistoryTPE, pruner(), 3, "maximize") == study_of(TPESampler, pruner(), 3, "maximize")


def test_trials_written_at_once_are_what_optuna_writes_one_by_one(tmp_path):
    when = datetime(2026, 3, 1, 12, 30)
    trials = [
        create_trial(
            state=state,
            values=[0.5, math.inf] if state is TrialState.COMPLETE else None,
            params={"rate": 0.01 * (n + 1), "size": n + 1, "init": None, "fixed": 3},
            distributions=SPACE,
            intermediate_values={1: 0.1, 2: math.nan, 3: -math.inf, 7: math.inf},
            constraints={"runs": 1.0} if n == 1 else None,
            user_attrs={"number": n, "reason": None, "text": "ü'\""},
            system_attrs={"note": [1, 2]},
        )
        for n, state in enumerate([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
    ]
    for trial in trials:
        trial.datetime_start = trial.datetime_complete = when

    def stored(name, write):
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / name}")
        study = optuna.create_study(study_name="s", storage=storage, directions=["maximize", "minimize"])
        write(storage, study)
        read = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / name}").trials
        storage.remove_session()
        storage.engine.dispose()
        return [{**vars(trial), "intermediate_values": str(trial.intermediate_values)} for trial in read]

    def at_once(storage, study):
        insert_trials(storage, study._study_id, trials[:1], first=0)
        insert_trials(storage, study._study_id, trials[1:], first=1)

    expected = stored("one-by-one.db", lambda storage, study: study.add_trials(trials))
    assert stored("at-once.db", at_once) == expected
    assert len(expected) == 3
