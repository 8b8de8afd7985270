"""The contract that every engine keeps: the engines that need nothing but this machine, and who is noticed."""

from __future__ import annotations

import inspect

import pytest

from bench.engines.inline import Inline
from bench.engines.processes import Processes, ProcessPool
from bench.testing import EngineContract
from bench.testing.engine import RecordingListener


class TestInline(EngineContract):
    engine = Inline
    workers = 1
    isolated = False


class TestProcesses(EngineContract):
    engine = Processes


class Yes(RecordingListener):
    """Finds every trial worth going on."""

    def validated(self, spec, step, value):
        super().validated(spec, step, value)
        return True


class Twice(ProcessPool):
    """Runs one trial again whose record is there."""

    again = False

    def _ended(self, worker, record):
        if self.again:
            return super()._ended(worker, record)
        self.again = True
        self.submit(record.spec, worker.artifacts)
        return None


class Deaf(ProcessPool):
    """Does not pass on what it hears of steps."""

    def _handle(self, worker, message):
        return None if message and "progress" in message else super()._handle(worker, message)


class Yielding(ProcessPool):
    """Lets every trial go on."""

    def __init__(self, engine, listener):
        super().__init__(engine, Yes())


class Stubborn(ProcessPool):
    """Repeats by itself what died."""

    def _died(self, worker):
        spec = worker.spec
        self._drop(worker)
        self.submit(spec, worker.artifacts)


class Patient(ProcessPool):
    """Waits for what hangs."""

    def _overdue(self):
        return []


class Misplacing(ProcessPool):
    """Keeps a final's weights somewhere."""

    def submit(self, spec, artifacts):
        super().submit(spec, artifacts.with_name("somewhere"))


@pytest.mark.parametrize(
    ("pool", "test"),
    [
        (Twice, "test_each_trial_runs_once_and_is_heard"),
        (Deaf, "test_each_trial_runs_once_and_is_heard"),
        (Yielding, "test_the_verdict_reaches_the_trial"),
        (Stubborn, "test_a_worker_that_dies_loses_its_trial_alone"),
        (Patient, "test_a_hung_worker_is_replaced_and_a_slow_one_is_not"),
        (Misplacing, "test_a_final_leaves_its_weights_with_the_driver"),
    ],
)
def test_an_engine_that_breaks_the_contract_is_noticed(pool, test, tmp_path):
    kind = type("Broken", (Processes,), {"start": lambda self, listener: pool(self, listener)})
    contract = type("Broken", (EngineContract,), {"engine": kind, "patience": 8.0, "hang_timeout": 2.0})()
    heard = RecordingListener()
    started = contract.start(tmp_path, heard)
    try:
        with pytest.raises((AssertionError, FileNotFoundError)):
            check = getattr(contract, test)
            given = {"pool": started, "heard": heard, "tmp_path": tmp_path}
            check(**{name: given[name] for name in inspect.signature(check).parameters})
    finally:
        started.close()
