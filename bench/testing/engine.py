"""What holds for every engine, whoever wrote it: inline, processes and ray pass these very tests."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from bench.core.errors import BenchError
from bench.engines.base import Engine, Pool
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec
from bench.testing.scripted import STEPS, executions, scripted_spec


class RecordingListener:
    """Notes what it hears, and prunes a trial that has come to step ``limit``."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.limit = STEPS
        self.steps: dict[int, list[int]] = defaultdict(list)
        self.values: dict[int, list[float]] = defaultdict(list)

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Note a step."""
        self.steps[spec.number].append(step)

    def validated(self, spec: TrialSpec, step: int, value: float) -> bool:
        """Note a value."""
        self.values[spec.number].append(value)
        return step < self.limit


class EngineContract:
    """Tests of one engine, with trials that train nothing; subclass it and name the engine. One test starts it twice.

    The engine has to run what its class's ``runner`` makes (see `bench.engines.base.Engine`): the tests put their own
    there. What an engine cannot do for its nature it declares by `isolated` and `same_machine`.
    """

    engine: ClassVar[type[Engine]]
    """The engine to test."""
    options: ClassVar[dict[str, Any]] = {}
    """Its options; the log folder is the tests' own."""
    workers: ClassVar[int] = 2
    """Trials at a time."""
    isolated: ClassVar[bool] = True
    """A trial runs in a process that can die, hang and be ended without harm to others."""
    same_machine: ClassVar[bool] = True
    """Trials run on this machine, so that the tests can see whether a process has ended."""
    hang_timeout: ClassVar[float] = 4.0
    """Seconds without progress by which a trial is known to hang: at least two signs of it."""
    patience: ClassVar[float] = 120.0
    """Seconds to wait for what has to come, time in a queue included."""
    seed: ClassVar[int] = 0
    """Draws the moments at which workers die."""

    @classmethod
    def start(cls, folder: Path, heard: RecordingListener) -> Pool:
        """Start the engine on scripted trials."""
        scripted: Any = type(cls.engine.__name__, (cls.engine,), {"runner": "bench.testing.scripted:scripted_runner"})
        engine: Engine = scripted(**cls.options, workers=cls.workers, log_folder=folder / "logs")
        return engine.start(heard)

    @pytest.fixture(scope="class")
    @classmethod
    def started(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pool, RecordingListener]]:
        """One pool for all tests of the class, and who listens to it."""
        heard = RecordingListener()
        pool = cls.start(tmp_path_factory.mktemp("engine"), heard)
        yield pool, heard
        pool.close()

    @pytest.fixture
    def pool(self, started: tuple[Pool, RecordingListener]) -> Pool:
        """The pool, idle; who listens has heard nothing yet."""
        assert started[0].free() == self.workers, "the test before this one has left a trial behind"
        started[1].forget()
        return started[0]

    @pytest.fixture
    def heard(self, started: tuple[Pool, RecordingListener]) -> RecordingListener:
        """Who listens."""
        return started[1]

    def run(self, pool: Pool, specs: Sequence[TrialSpec], artifacts: Path) -> dict[int, TrialRecord]:
        """Run trials as a driver does, and return their records by number; a second record of one is an error."""
        waiting, records = list(specs), dict[int, TrialRecord]()
        deadline = time.monotonic() + self.patience
        while len(records) < len(specs):
            while waiting and pool.free():
                pool.submit(waiting[0], artifacts / str(waiting.pop(0).number))
            for record in pool.poll(0.2):
                assert record.spec.number not in records, f"trial {record.spec.number} has ended twice"
                records[record.spec.number] = record
            assert time.monotonic() < deadline, f"of {len(specs)} trials these have ended: {sorted(records)}"
        assert pool.free() == self.workers
        return records

    def wait(self, pool: Pool, home: Path, spec: TrialSpec) -> list[int]:
        """Poll until a trial has begun, and return the ids of its processes."""
        deadline = time.monotonic() + self.patience
        while not (begun := executions(home, spec)):
            assert pool.poll(0.1) == []
            assert time.monotonic() < deadline, "the trial has not begun"
        return begun[0]

    def test_each_trial_runs_once_and_is_heard(self, pool: Pool, heard: RecordingListener, tmp_path: Path) -> None:
        """Every spec gives one record, by one execution; its steps and all of its validations are heard."""
        specs = [scripted_spec(tmp_path, number) for number in range(2 * self.workers + 1)]
        records = self.run(pool, specs, tmp_path)
        for spec in specs:
            assert (records[spec.number].status, records[spec.number].spec_hash) == ("ok", spec.hash)
            assert len(executions(tmp_path, spec)) == 1
            assert set(heard.steps[spec.number]) <= set(range(1, STEPS + 1))
            assert heard.values[spec.number] == [spec.number + step / 10 for step in range(1, STEPS)]
        assert any(heard.steps.values()), "a step now and then is heard, if not each"
        assert pool.poll(0.2) == []

    def test_the_verdict_reaches_the_trial(self, pool: Pool, heard: RecordingListener, tmp_path: Path) -> None:
        """A validation that the study does not like is the trial's last."""
        heard.limit = 1
        specs = [scripted_spec(tmp_path, number) for number in range(self.workers)]
        for record in self.run(pool, specs, tmp_path).values():
            assert (record.status, record.best_step) == ("pruned", 1)

    def test_a_final_leaves_its_weights_with_the_driver(self, pool: Pool, tmp_path: Path) -> None:
        """They are there as soon as its record is."""
        self.run(pool, [scripted_spec(tmp_path, 7, kind="final")], tmp_path / "kept")
        assert (tmp_path / "kept" / "7" / "adapter.safetensors").read_bytes() == b"7"
        assert (tmp_path / "kept" / "7" / "encoder" / "more.safetensors").read_bytes() == b"7"

    def test_what_breaks_beside_the_trial_is_an_error(self, pool: Pool, tmp_path: Path) -> None:
        """It is a record too, and the next trial runs."""
        records = self.run(pool, [scripted_spec(tmp_path, 0, "fail"), scripted_spec(tmp_path, 1)], tmp_path)
        assert (records[0].status, records[0].reason) == ("error", "RuntimeError: as asked for")
        assert records[1].status == "ok"

    def test_what_cannot_run_here_is_the_users_to_mend(self, pool: Pool, tmp_path: Path) -> None:
        """Such as a device that is not there: the run stops and says so."""
        pool.submit(scripted_spec(tmp_path, 0, "refuse"), tmp_path / "kept")
        deadline = time.monotonic() + self.patience
        with pytest.raises(BenchError, match=r"runtime\.device: there is none"):
            while time.monotonic() < deadline:
                assert pool.poll(0.2) == []
        assert pool.free() == self.workers

    def test_a_worker_that_dies_loses_its_trial_alone(self, pool: Pool, tmp_path: Path) -> None:
        """At a random moment: its trial is ``killed``, ran once, and can run again; no other notices."""
        self._only_if_isolated()
        dice, specs = random.Random(self.seed), [scripted_spec(tmp_path, n) for n in range(4 * self.workers)]
        doomed = sorted(dice.sample(range(len(specs)), 2))
        for number in doomed:
            specs[number] = scripted_spec(tmp_path, number, "die", after=dice.random() * 0.4)
        records = self.run(pool, specs, tmp_path)
        assert {n for n, record in records.items() if record.status == "killed"} == set(doomed)
        assert {record.status for n, record in records.items() if n not in doomed} == {"ok"}
        assert all(records[number].reason for number in doomed), "a reason is given"
        assert [len(executions(tmp_path, spec)) for spec in specs] == [1] * len(specs)
        again = self.run(pool, [specs[number] for number in doomed], tmp_path)
        assert {record.status for record in again.values()} == {"ok"}

    def test_a_hung_worker_is_replaced_and_a_slow_one_is_not(self, pool: Pool, tmp_path: Path) -> None:
        """A trial that gets no further for ``hang_timeout`` is lost, stopped or asleep; one that is slow is not."""
        self._only_if_isolated()
        stopped = scripted_spec(tmp_path, 0, "stop", hang_timeout=self.hang_timeout)
        asleep = scripted_spec(tmp_path, 1, "wait", hang_timeout=self.hang_timeout)
        slow = scripted_spec(tmp_path, 2, "pause", seconds=self.hang_timeout + 1, hang_timeout=self.hang_timeout)
        records = self.run(pool, [stopped, asleep, slow], tmp_path)
        for hung in (stopped, asleep):
            record = records[hung.number]
            why = f"it hung: no step and no batch for {self.hang_timeout:g} s (runtime.hang_timeout)"
            assert (record.status, record.reason) == ("killed", why)
            self._assert_ended(executions(tmp_path, hung)[0])
        assert records[slow.number].status == "ok"

    def test_a_trial_that_takes_too_long_is_stopped(self, pool: Pool, tmp_path: Path) -> None:
        """With all that it has started."""
        self._only_if_isolated()
        spec = scripted_spec(tmp_path, 0, "wait", trial_timeout=1.5)
        record = self.run(pool, [spec], tmp_path)[0]
        assert (record.status, record.reason) == ("timeout", "stopped after 1.5 s (runtime.trial_timeout)")
        self._assert_ended(executions(tmp_path, spec)[0])

    def test_a_trial_without_memory_where_others_ran_gets_a_worker_of_its_own(self, pool: Pool, tmp_path: Path) -> None:
        """What ran before it may have left too little; a fresh worker tells."""
        self._only_if_isolated()
        self.run(pool, [scripted_spec(tmp_path, n, "pause", seconds=0.5) for n in range(self.workers)], tmp_path)
        spec = scripted_spec(tmp_path, 9, "leak")
        assert self.run(pool, [spec], tmp_path)[9].status == "ok"
        processes = [pids[0] for pids in executions(tmp_path, spec)]
        assert len(set(processes)) == len(processes) <= 2

    def test_closing_leaves_nothing_behind(self, started: Any, tmp_path: Path) -> None:
        """Ctrl-C in the middle of trials: no process is left, and no record comes back."""
        self._only_if_isolated()
        pool = self.start(tmp_path, RecordingListener())
        specs = [scripted_spec(tmp_path, number, "wait") for number in range(self.workers)]
        for spec in specs:
            pool.submit(spec, tmp_path / "kept")
        pids = [pid for spec in specs for pid in self.wait(pool, tmp_path, spec)]
        pool.close()
        self._assert_ended(pids)

    def _only_if_isolated(self) -> None:
        if not self.isolated:
            pytest.skip("this engine cannot do that")

    def _assert_ended(self, pids: Sequence[int]) -> None:
        """Wait a moment for processes to end: whoever kills them need not be the parent that waits for them."""
        if not self.same_machine:
            return
        deadline = time.monotonic() + min(20.0, self.patience)
        while left := [pid for pid in pids if _lives(pid)]:
            assert time.monotonic() < deadline, f"processes were left behind: {left}"
            time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
