"""One round: begin a study, break something, resume to the end, compare with the run that nothing happened to."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.core.config import content_hash
from bench.driver.shards import Shard
from bench.runs.record import read_record
from bench.runs.store import RecordStore
from benchmarks.faults import drivers
from benchmarks.faults.null import CURRENT, LOG, PLAN, STEPS, NullProcesses
from benchmarks.faults.places import PLACES, Place

ROWS = "text,label\n" + "".join(f"row number {n},{'no' if n % 2 else 'yes'}\n" for n in range(60))

STUDIES: dict[str, dict[str, Any]] = {
    # One after the other, with a sampler and a pruner that learn: the points themselves must be the same again.
    "sequential": {"study": {"trials": 7, "sampler": "tpe", "pruner": "median"}, "workers": 1},
    # Side by side points depend on who is first, unless the sampler does not learn.
    "parallel": {"study": {"trials": 7, "sampler": "random", "pruner": "none"}, "workers": 2},
}


def make(home: Path) -> None:
    """Make a round's folder, and beside it the data and the name of the round."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home.parent / "rows.csv").write_text(ROWS)
    (home.parent / CURRENT).write_text(str(home))


def experiment(kind: str, home: Path, place: Place) -> dict[str, Any]:
    """Return the experiment of every round: two cells, one of which meets divergence and a lack of memory."""
    return {
        "name": "faults",
        "models": ["glasslm-0.9m"],
        "datasets": [{"local": {"path": str(home.parent / "rows.csv"), "label": "rows"}}],
        "methods": ["null", {"null": {"label": "walls", "size": 5}}],
        "finals": {"seeds": 2},
        **STUDIES[kind],
        **place.settings,
        # More retries than a round has faults: what dies by our hand is no result.
        "runtime": {"retries": 5, **place.settings["runtime"]},
    }


@dataclass
class Round:
    """A folder with a study to be broken, and what was seen."""

    home: Path
    kind: str
    dice: random.Random
    place: Place = PLACES["processes"]
    notes: list[str] = field(default_factory=list)
    shards: int = 0
    """How many shards at once go on after the fault, before a run of the whole."""

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.home / "results"

    def start(self, fault: drivers.Fault | None = None, output: str = "driver.txt", shard: Shard | None = None) -> int:
        """Start a driver and return its process id."""
        return drivers.start(experiment(self.kind, self.home, self.place), self.home, fault, output, shard)

    def run(self, fault: drivers.Fault | None = None, output: str = "driver.txt") -> int:
        """Run a driver to its end and return its exit code."""
        return self.wait(self.start(fault, output))

    def wait(self, pid: int) -> int:
        """Wait for a driver and return its exit code."""
        return drivers.wait(pid, self.place.seconds)

    def said(self, output: str = "driver.txt") -> str:
        """Return what the drivers have printed."""
        path = self.home / output
        return path.read_text() if path.exists() else ""

    def records(self) -> dict[str, bytes]:
        """Return the whole records on disk, by path."""
        paths = sorted((self.results / "records").rglob("[!.]*.json"))
        return {str(path): path.read_bytes() for path in paths if read_record(path) is not None}

    def wait_for_records(self, number: int, pid: int) -> None:
        """Wait until so many records are on disk, or the driver has ended."""
        folder = self.results / "records"
        while len(list(folder.rglob("[!.]*.json"))) < number and psutil.pid_exists(pid):
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
            time.sleep(0.005)

    def worker_fault(self, do: str) -> None:
        """Write down what one trial is to do to its worker."""
        label = self.dice.choice(["null", "walls"])
        what, number = self.dice.choice([("trial", self.dice.randrange(3)), ("final", self.dice.randrange(2))])
        plan = {"do": do, "title": f"none / rows / {label}, {what} {number}", "step": self.dice.randint(1, STEPS)}
        if do == "leak":  # a leak shows in the next trial of the same worker
            plan |= {"title": "none / rows / null, trial 1", "step": 1}
        (self.home / PLAN).write_text(json.dumps(plan))


def table(results: Path) -> list[list[Any]]:
    """Return all that a report is made of, without what is measured: by cell, kind, number and point."""
    rows = [
        [*r.cell_path.split("/")[:3], r.spec.kind, r.spec.number, content_hash(r.spec.params), r.spec.seed, r.status,
         r.objective, [[e.step, e.metrics] for e in r.validation_curve], r.test and r.test.metrics]
        for r in RecordStore(results)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: json.dumps(row[:6]))


def begun(home: Path) -> list[str]:
    """Return the hash of each run in the order in which they were begun."""
    path = home / LOG
    return path.read_text().split() if path.exists() else []


def in_database(results: Path) -> int:
    """Return how many trials the database holds."""
    with sqlite3.connect(results / "study.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM trials").fetchone()
    return int(count)


# -- The faults. Each returns once the harm is done; the caller resumes.


def driver_killed(r: Round) -> None:
    """SIGKILL of the driver at a random moment."""
    pid = r.start()
    r.wait_for_records(r.dice.randrange(17), pid)
    time.sleep(r.dice.random() * 0.03)
    os.kill(pid, signal.SIGKILL)
    r.wait(pid)


def driver_killed_at_write(r: Round) -> None:
    """SIGKILL of the driver in the middle of writing a record."""
    stage = r.dice.choice(["before", "torn", "complete", "renamed", "after"])
    _expect(r, r.run(drivers.killed_at_write(r.dice.randint(1, 18), stage)), -signal.SIGKILL)


def worker_killed(r: Round) -> None:
    """SIGKILL of a worker at a random moment."""
    pid = r.start()
    for _ in range(2):
        r.wait_for_records(r.dice.randrange(12), pid)
        time.sleep(r.dice.random() * 0.03)
        with suppress(psutil.Error, IndexError):
            r.dice.choice(r.place.workers(pid)).kill()
    _expect(r, r.wait(pid), 0)


def terminated(r: Round) -> None:
    """SIGTERM, as a batch system sends it."""
    _signalled(r, signal.SIGTERM, drivers.TERMINATED)


def interrupted(r: Round) -> None:
    """Ctrl-C."""
    _signalled(r, signal.SIGINT, drivers.INTERRUPTED)


def disk_full(r: Round) -> None:
    """A full disk from a random record on."""
    _expect(r, r.run(drivers.disk_full_at(r.dice.randint(1, 18))), drivers.REFUSED)
    if "the record cannot be written" not in r.said():
        r.notes.append("a full disk was not named")


def record_cut(r: Round) -> None:
    """A record cut at a random byte."""
    _damage(r, lambda data: data[: r.dice.randrange(len(data))])


def record_flipped(r: Round) -> None:
    """A record with one to three random bytes flipped."""

    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(r.dice.randint(1, 3)):
            changed[r.dice.randrange(len(changed))] ^= 1 << r.dice.randrange(8)
        return bytes(changed)

    _damage(r, flip)


def database_locked(r: Round) -> None:
    """The database locked by somebody else for the whole run."""
    _expect(r, r.run(drivers.killed_at_write(r.dice.randint(2, 6), "after")), -signal.SIGKILL)
    with sqlite3.connect(r.results / "study.db") as holder:
        holder.execute("BEGIN EXCLUSIVE")
        _expect(r, r.run(), 0)
        holder.rollback()
    _expect_said(r, "cannot be written (database is locked)")


def database_read_only(r: Round) -> None:
    """A database that may only be read."""
    _expect(r, r.run(drivers.killed_at_write(r.dice.randint(2, 6), "after")), -signal.SIGKILL)
    _expect(r, r.run(drivers.database_read_only()), 0)
    _expect_said(r, "cannot be written (attempt to write a readonly database)")


def two_drivers(r: Round) -> None:
    """A second driver on the same folder, and the death of the first."""
    first = r.start()
    r.wait_for_records(r.dice.randint(1, 6), first)
    _expect(r, r.run(output="second.txt"), drivers.REFUSED)
    if f"in use by process {first} on " not in r.said("second.txt"):
        r.notes.append("the second driver did not name the first")
    os.kill(first, signal.SIGKILL)
    r.wait(first)


def shard_killed(r: Round) -> None:
    """Two shards at once, and SIGKILL of one at a random moment; three go on."""
    _shards(r, [Shard(1, 2), Shard(2, 2)], kill=True)


def shard_killed_at_write(r: Round) -> None:
    """Two shards at once, and SIGKILL of one in the middle of writing a record; three go on."""
    stage = r.dice.choice(["before", "torn", "complete", "renamed", "after"])
    _shards(r, [Shard(1, 2), Shard(2, 2)], fault=drivers.killed_at_write(r.dice.randint(1, 9), stage))


def shards_of_two_numbers(r: Round) -> None:
    """Shards of two divisions at once, one of them twice, now and then with a SIGKILL of one; three go on."""
    _shards(r, [Shard(1, 2), Shard(1, 1), Shard(2, 2), Shard(1, 2)], kill=r.dice.random() < 0.5)


def clock_back(r: Round) -> None:
    """A wall clock that jumps back by days, again and again, and a death of the driver."""
    pid = r.start(drivers.clock_jumps_back(r.dice.randint(1, 20)))
    r.wait_for_records(r.dice.randrange(17), pid)
    os.kill(pid, signal.SIGKILL)
    r.wait(pid)


def worker_dies(r: Round) -> None:
    """A trial that kills its worker at a chosen step."""
    _misbehaved(r, r.dice.choice(r.place.deaths))


def worker_hangs(r: Round) -> None:
    """A worker that hangs at a chosen step."""
    _misbehaved(r, "hang")


def worker_leaves_child(r: Round) -> None:
    """A worker that dies and leaves a process behind."""
    _misbehaved(r, "orphan")


def worker_leaks(r: Round) -> None:
    """A worker whose earlier trial has left no memory for the next one."""
    _misbehaved(r, "leak")


FAULTS: tuple[Callable[[Round], None], ...] = (
    driver_killed,
    driver_killed_at_write,
    worker_killed,
    worker_dies,
    worker_hangs,
    worker_leaks,
    worker_leaves_child,
    terminated,
    interrupted,
    disk_full,
    record_cut,
    record_flipped,
    database_locked,
    database_read_only,
    two_drivers,
    shard_killed,
    shard_killed_at_write,
    shards_of_two_numbers,
    clock_back,
)


def _shards(r: Round, shards: list[Shard], kill: bool = False, fault: drivers.Fault | None = None) -> None:
    """Run shards at once; the fault is the first one's."""
    r.shards = 3
    pids = [r.start(None if index else fault, f"shard-{index}.txt", shard=shard) for index, shard in enumerate(shards)]
    killed = r.dice.choice(pids) if kill else None
    if killed is not None:
        r.wait_for_records(r.dice.randrange(17), killed)
        time.sleep(r.dice.random() * 0.03)
        with suppress(ProcessLookupError):
            os.kill(killed, signal.SIGKILL)
    for index, pid in enumerate(pids):
        output = f"shard-{index}.txt"
        code = r.wait(pid)
        refused = code == drivers.REFUSED and "in use by process " in r.said(output)
        died = code == -signal.SIGKILL and (pid == killed or (fault is not None and index == 0))
        if code != 0 and not refused and not died:
            r.notes.append(f"shard {shards[index]} ended with {code}: {r.said(output)[-300:]}")
    _wait_for_orphans()
    if killed is None and fault is None and _repeated(r, begun(r.home)):
        r.notes.append("a run began in two shards")


def _repeated(r: Round, runs: list[str]) -> int:
    """Return how many of the runs that began had begun before; one without memory has a second try in a new worker."""
    records = map(json.loads, r.records().values())
    oom = {record["spec_hash"] for record in records if record["status"] == "oom"}
    once = [run for run in runs if run not in oom]
    return len(once) - len(set(once))


def _wait_for_orphans() -> None:
    """Wait for workers whose driver has died: until they notice they may begin the run that they were given last."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(
        NullProcesses.runner in (process.info["cmdline"] or ()) and not _has_driver(process)
        for process in psutil.process_iter(["cmdline"])
    ):
        time.sleep(0.05)


def _has_driver(worker: psutil.Process) -> bool:
    with suppress(psutil.Error):
        parent = worker.parent()
        return parent is not None and parent.name().startswith("python")
    return False


def _signalled(r: Round, number: signal.Signals, code: int) -> None:
    pid = r.start()
    r.wait_for_records(r.dice.randrange(1, 15), pid)
    time.sleep(r.dice.random() * 0.03)
    os.kill(pid, number)
    _expect(r, r.wait(pid), code)
    if "Traceback" in r.said():
        r.notes.append("a traceback was printed")


def _damage(r: Round, change: Callable[[bytes], bytes]) -> None:
    if r.dice.random() < 0.5:
        _expect(r, r.run(drivers.killed_at_write(r.dice.randint(3, 18), "after")), -signal.SIGKILL)
    else:
        _expect(r, r.run(), 0)
    path = Path(r.dice.choice(sorted(r.records())))
    before = path.read_bytes()
    after = change(before)
    path.write_bytes(after)
    if read_record(path) is not None and json.loads(after) != json.loads(before):
        r.notes.append("a damaged record was taken for a whole one")
    (r.home / "damaged").write_text(str(path))


def _misbehaved(r: Round, do: str) -> None:
    r.worker_fault(do)
    _expect(r, r.run(), 0)
    if not (r.home / "did-it").exists():
        r.notes.append("the fault did not happen")


def _expect(r: Round, found: int, wanted: int, output: str = "driver.txt") -> None:
    if found != wanted:
        r.notes.append(f"the driver ended with {found}, not {wanted}: {r.said(output)[-300:]}")


def _expect_said(r: Round, text: str) -> None:
    if text not in r.said():
        r.notes.append(f"not said: {text}")


@dataclass(frozen=True)
class Outcome:
    """What a round has shown."""

    fault: str
    kind: str
    lost: int
    """Whole records that were there after the fault, and were gone or another after the resumption."""
    twice: int
    """Runs that began again although their record was there."""
    notes: tuple[str, ...]

    @property
    def survived(self) -> bool:
        """Whether nothing was lost, nothing ran twice and nothing else was wrong."""
        return not (self.lost or self.twice or self.notes)


def play(
    fault: Callable[[Round], None],
    kind: str,
    seed: int,
    home: Path,
    wanted: list[list[Any]],
    place: Place = PLACES["processes"],
) -> Outcome:
    """Play one round and return its outcome; ``wanted`` is the table of the run that nothing happened to."""
    make(home)
    r = Round(home, kind, random.Random(f"{seed}/{fault.__name__}/{kind}"), place)
    lost = twice = 0
    try:
        fault(r)
        kept, already = r.records(), len(begun(home))
        going_on = [
            r.start(output=f"going-on-{number}.txt", shard=Shard(number, r.shards)) for number in range(1, r.shards + 1)
        ]
        for number, pid in enumerate(going_on, start=1):
            _expect(r, r.wait(pid), 0, f"going-on-{number}.txt")
        _expect(r, r.run(), 0)
        after = r.records()
        lost = sum(after.get(path) != data for path, data in kept.items())
        done = {json.loads(data)["spec_hash"] for data in kept.values()}
        again = begun(home)[already:]
        twice = sum(spec in done for spec in again) + (_repeated(r, again) if r.shards else 0)
        if table(r.results) != wanted:
            r.notes.append("the final table differs")
        trials = sum(Path(path).name.startswith("trial") for path in after)
        if in_database(r.results) != trials:
            r.notes.append(f"the database holds {in_database(r.results)} trials, the records {trials}")
        if (home / "damaged").exists():
            damaged = Path((home / "damaged").read_text())
            named = f"{damaged.with_suffix('.corrupt')}: a damaged record" in r.said()
            if not named and str(damaged) not in kept:
                r.notes.append("the damaged record was not set aside and named")
    except TimeoutError as error:
        r.notes.append(str(error))
    r.notes.extend(_left_behind(home))
    if not (lost or twice or r.notes):
        shutil.rmtree(home, ignore_errors=True)
    return Outcome(fault.__name__, kind, lost, twice, tuple(r.notes))


def _left_behind(home: Path) -> list[str]:
    """Return a note for each process of the round that is still there, and end it."""
    notes = []
    time.sleep(0.05)
    for process in psutil.process_iter(["cwd", "cmdline"]):
        command = process.info["cmdline"] or []
        if process.info["cwd"] == str(home) and command[:1] == ["sleep"]:
            notes.append(f"a process was left behind: {' '.join(command)}")
            process.kill()
    return notes
