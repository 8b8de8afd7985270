"""The short form of the fault campaign (`python -m benchmarks.faults` is the long one)."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.faults.__main__ import campaign, markdown
from benchmarks.faults.campaign import FAULTS, Outcome, Round, table
from benchmarks.faults.places import PLACES, on_ray


@pytest.mark.parametrize(("place", "rounds"), [("processes", 10), ("shards", 3)])  # the long form plays all of them
def test_a_study_that_is_broken_and_resumed_ends_as_if_nothing_had_been(place, rounds, tmp_path, monkeypatch):
    # Each worker is a process of its own: it has to find the campaign, as when it is started from the checkout.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    outcomes = campaign(rounds, 7, tmp_path, place)
    assert [outcome for outcome in outcomes if not outcome.survived] == []
    assert markdown(outcomes).splitlines()[-1] == f"| **all** | {rounds} | {rounds} | 0 | 0 |"


def test_what_is_tried_on_a_cluster_or_by_shards_are_faults_of_the_campaign():
    for named in (on_ray("here:6379", psutil.Process()).faults, PLACES["shards"].faults):
        assert named and {*named} < {fault.__name__ for fault in FAULTS}


@pytest.mark.parametrize("values", [(1, 0, ()), (0, 1, ()), (0, 0, ("the final table differs",))])
def test_a_loss_a_repetition_or_another_table_is_no_survival(values):
    assert not Outcome("driver_killed", "sequential", *values).survived
    assert Outcome("driver_killed", "sequential", 0, 0, ()).survived


def test_the_table_sees_a_changed_score_and_a_missing_run(tmp_path):
    from demo import demo_plan, drive

    drive(demo_plan(tmp_path / "home" / "results"))
    r = Round(tmp_path / "home", "sequential", random.Random(0))
    whole = table(r.results)
    assert len(whole) == 8
    path = next(r.results.rglob("trial-00003.json"))
    path.unlink()
    assert len(table(r.results)) == 7
