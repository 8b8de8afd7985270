"""A driver in a process of its own, forked from the campaign: everything is imported already, so it starts at once."""

from __future__ import annotations

import os
import resource
import signal
import stat
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna

import bench.driver.driver
import bench.runs.store
from bench.api import Selection, execute, plan
from bench.core.errors import BenchError
from bench.driver.shards import Shard
from bench.driver.signals import Terminated
from bench.driver.watcher import Watcher
from bench.engines import engines
from bench.methods import methods
from benchmarks.faults.null import Null, NullProcesses, NullRay

# Loads what every driver needs for its database, once, before the fork.
optuna.storages.RDBStorage("sqlite://").engine.dispose()

Fault = Callable[[], None]
"""Applied in the driver's process before it begins."""

INTERRUPTED, TERMINATED, REFUSED, BROKEN = 130, 143, 2, 99


class Speaking(Watcher):
    """Prints warnings, into the driver's own output."""

    def warn(self, text: str) -> None:
        """Print."""
        print(f"warning: {text}", flush=True)


def start(
    experiment: dict[str, Any],
    home: Path,
    fault: Fault | None = None,
    output: str = "driver.txt",
    shard: Shard | None = None,
) -> int:
    """Start a driver on ``home/results`` and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = BROKEN
    try:
        # Here and not on import: nobody else is to find a method that trains nothing.
        methods.add("null", Null, owner="benchmarks.faults")
        engines.add("null-processes", NullProcesses, owner="benchmarks.faults")
        engines.add("null-ray", NullRay, owner="benchmarks.faults")
        os.setpgid(0, 0)  # Ctrl-C of the campaign is not the driver's
        out = os.open(home / output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if fault is not None:
            fault()
        code = _drive(experiment, home, shard)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _drive(experiment: dict[str, Any], home: Path, shard: Shard | None) -> int:
    try:
        execute(plan(experiment, home / "results").select(Selection(shard=shard)), watcher=Speaking())
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except BenchError as error:
        print(f"error: {error}")
        return REFUSED
    return 0


def wait(pid: int, seconds: float = 60.0) -> int:
    """Wait for a driver and return its exit code, negative for a signal.

    Raises:
        TimeoutError: it hangs; it was killed.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"the driver did not end within {seconds:g} s")


def killed_at_write(number: int, stage: str) -> Fault:
    """Kill the driver in the middle of writing its n-th record: while the file is torn, before or after its rename."""

    def apply() -> None:
        real_fsync, real_replace, real_write = os.fsync, Path.replace, bench.runs.store.write_atomic
        state = {"records": 0, "armed": False}

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def fsync(descriptor: int) -> None:
            folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            if state["armed"] and stage == "torn" and not folder:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                die()
            if state["armed"] and stage == "renamed" and folder:
                die()
            real_fsync(descriptor)

        def replace(self: Path, target: Any) -> Path:
            if state["armed"] and stage == "complete":
                die()
            return real_replace(self, target)

        def write_atomic(path: Path, data: bytes) -> None:
            if "records" in path.parts:
                state["records"] += 1
                state["armed"] = state["records"] == number
                if state["armed"] and stage == "before":
                    die()
            real_write(path, data)
            if state["armed"] and stage == "after":
                die()

        os.fsync, Path.replace, bench.runs.store.write_atomic = fsync, replace, write_atomic  # type: ignore[assignment]

    return apply


def disk_full_at(number: int) -> Fault:
    """Let the disk be full from the n-th record on: no file may grow beyond what a record needs."""

    def apply() -> None:
        real_write = bench.runs.store.write_atomic
        state = {"records": 0}

        def write_atomic(path: Path, data: bytes) -> None:
            state["records"] += "records" in path.parts
            if state["records"] == number:
                limit = len(data) // 2
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            real_write(path, data)

        bench.runs.store.write_atomic = write_atomic

    return apply


def clock_jumps_back(every: int) -> Fault:
    """Let the wall clock jump back by a day every n-th time that somebody looks."""

    def apply() -> None:
        real, looks = time.time, [0]

        def jumping() -> float:
            looks[0] += 1
            return real() - 86400.0 * (looks[0] // every)

        time.time = jumping

    return apply


def database_read_only() -> Fault:
    """Let every connection to a database be read-only."""

    def apply() -> None:
        import sqlite3

        real = sqlite3.dbapi2.connect

        def connect(*args: Any, **kwargs: Any) -> Any:
            connection = real(*args, **kwargs)
            connection.execute("PRAGMA query_only=ON")
            return connection

        sqlite3.dbapi2.connect = connect  # type: ignore[assignment]

    return apply
