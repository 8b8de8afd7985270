"""What a finished trial takes in the driver's memory, and that nothing of it is lost by being packed."""

from __future__ import annotations

import copy
import gc
import math
import tracemalloc
from datetime import datetime

import optuna
from demo import demo_cell, demo_spec, ended
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from bench.driver.cell_run import CellRun
from bench.driver.ended import EndedTrials, light
from bench.runs.record import Evaluated
from bench.runs.store import RecordStore
from bench.search.compact import CompactStorage

SPACE = {
    "rate": FloatDistribution(1e-4, 1, log=True),
    "size": IntDistribution(1, 16),
    "init": CategoricalDistribution(["random", "text", None, 7, True]),
}
numbers = st.floats(allow_nan=False)


@st.composite
def finished(draw, objectives: int = 2):
    state = draw(st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]))
    trial = create_trial(
        state=state,
        values=draw(st.lists(numbers, min_size=objectives, max_size=objectives))
        if state is TrialState.COMPLETE
        else None,
        params={
            "rate": draw(st.floats(1e-4, 1)),
            "size": draw(st.integers(1, 16)),
            "init": draw(st.sampled_from(SPACE["init"].choices)),
        },
        distributions=SPACE,
        intermediate_values=draw(st.dictionaries(st.integers(0, 10**9), numbers, max_size=4)),
        constraints=draw(st.sampled_from([None, {"runs": 1.0}])),
        user_attrs=draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)),
    )
    trial.datetime_complete = draw(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)))
    return trial


@given(st.lists(finished(), min_size=1, max_size=4))
def test_a_packed_trial_is_the_trial_that_it_was(trials):
    theirs = optuna.create_study(directions=["maximize", "minimize"])
    ours = optuna.create_study(directions=["maximize", "minimize"], storage=CompactStorage())
    for study in (theirs, ours):
        study.add_trials(trials)
        running = study.ask(SPACE | {"rate": FloatDistribution(1, 1), "size": IntDistribution(1, 1)})
        study.tell(running, state=TrialState.FAIL)
    for read in (ours.get_trials(deepcopy=False), ours.trials, [copy.copy(trial) for trial in ours.trials]):
        for mine, other in zip(read[:-1], theirs.trials[:-1], strict=True):
            assert mine == other
            assert mine != create_trial(state=TrialState.FAIL)
            assert (mine.params, mine.values, mine.number) == (other.params, other.values, other.number)
            assert list(mine.intermediate_values.items()) == list(other.intermediate_values.items())
            assert (mine.duration, mine.constraints) == (other.duration, other.constraints)
    assert ours.trials[-1].state is TrialState.FAIL


def test_scores_that_are_no_number_survive_packing():
    study = optuna.create_study(storage=CompactStorage())
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={1: math.nan, 2: -math.inf}))
    assert str(study.trials[0].intermediate_values) == "{1: nan, 2: -inf}"


def test_what_has_ended_is_given_back_as_it_was_put_in():
    cell = demo_cell()
    trials = EndedTrials(cell)
    wanted = []
    for number, status in enumerate(["ok", "pruned", "error"]):
        spec = demo_spec(cell, number, learning_rate=1 / (3 + number), init="text")
        wanted.append(light(ended(spec, status=status, reason=None if status == "ok" else "ü\n"), spec))
        trials.add(wanted[-1])
    assert list(trials) == wanted
    assert len(trials) == 3 and 1 in trials and 3 not in trials


def test_a_finished_trial_takes_less_than_a_kibibyte_however_long_its_curve(tmp_path):
    cell = demo_cell(study={"trials": 10_000, "sampler": "random", "pruner": "median"})
    run = CellRun("demo", cell, RecordStore(tmp_path))

    def some(trials):
        for _ in range(trials):
            spec = run.next_spec()
            curve = [Evaluated(step=step, metrics={cell.objective: step / spec.seed}) for step in range(1, 11)]
            for point in curve:
                run.should_prune(spec, point.step, point.metrics[cell.objective])
            run.finish(ended(spec, validation_curve=curve))
        gc.collect()

    some(50)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        some(150)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken - before < 150 * 1024
