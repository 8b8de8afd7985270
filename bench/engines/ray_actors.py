"""The ray engine: the same workers as actors of a Ray cluster. Needs the extra ``ray``."""

from __future__ import annotations

import json
import logging
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.core.errors import Unavailable, one_line
from bench.core.heartbeat import Pulse, beat
from bench.core.registry import load_target
from bench.core.trust import Trusted
from bench.engines.base import Engine, Listener, Pool
from bench.engines.pool import Message, Worker, WorkerPool
from bench.engines.running import answered
from bench.runs.manifest import without_password
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec

_LOOK_SECONDS = 0.1
"""How often actors are asked for their news."""


class Ray(Engine):
    """Runs trials in actors of a Ray cluster, each with CPUs, memory and GPUs (or a part of one) of its own.

    promptscale and its data have to be there on every node; records and adapters are written by the driver alone.
    """

    address: str | None = None
    """Of the cluster: ``auto``, ``host:6379`` or ``ray://host:10001``; null starts Ray on this machine."""
    cpus: float = Field(1, gt=0)
    """CPUs a worker, which are also its threads."""
    gpus: float = Field(0, ge=0)
    """GPUs a worker; 0.25 lets four small models share one."""
    memory_gb: float | None = Field(None, gt=0)
    """Memory a worker, in GB, which Ray sets aside for it."""

    def trusts(self) -> Iterable[Trusted]:
        """Return the cluster, where its address names one."""
        if self.address and ":" in self.address:
            hosts = {without_password(self.address): "the ray cluster: gets specs, gives records back, runs this code"}
            yield Trusted("note", "where trials run", hosts=hosts)
        else:
            yield from super().trusts()

    def start(self, listener: Listener) -> Pool:
        """Return a pool on the cluster.

        Raises:
            Unavailable: Ray is not installed, or the cluster cannot be reached.
        """
        try:
            import ray
        except ImportError:
            raise Unavailable("the engine 'ray' needs Ray: pip install 'promptscale[ray]'") from None
        if not ray.is_initialized():
            local: dict[str, Any] = {} if self.address else {"include_dashboard": False}
            terminated = signal.getsignal(signal.SIGTERM)
            try:
                ray.init(
                    address=self.address,
                    namespace="promptscale",
                    log_to_driver=False,
                    logging_level=logging.WARNING,  # that it has connected is no news
                    **local,
                )
            except Exception as error:  # Ray raises what it likes
                where = self.address or "this machine"
                raise Unavailable(f"no Ray cluster at {where}: {one_line(error)}") from error
            finally:
                # Ray's own handler ends the process wherever it happens to be; the driver's stops between two records.
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, terminated)
        return _RayPool(self, listener)


class _RayPool(WorkerPool["_RayWorker"]):
    """N places, each with an actor once it was needed."""

    def __init__(self, engine: Ray, listener: Listener) -> None:
        import ray

        super().__init__(engine.workers, listener)
        self._engine = engine
        resources: dict[str, Any] = {"num_cpus": engine.cpus, "num_gpus": engine.gpus}
        if engine.memory_gb is not None:
            resources["memory"] = int(engine.memory_gb * 1e9)
        # Ray would run what died again by itself, several times; whether to is the driver's to say. Three threads:
        # one runs the trial, one gives news, one takes answers.
        resources |= {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 3}
        self._make: Any = ray.remote(**resources)(Actor)

    def _new_worker(self, index: int) -> _RayWorker:
        return _RayWorker(self._make.remote(self._engine.runner), max(1, int(self._engine.cpus)))

    def _news(self, timeout: float) -> list[tuple[_RayWorker, Message | None]]:
        deadline = time.monotonic() + timeout
        while True:
            asked = [worker for worker in self._started() if worker.spec is not None]
            if said := [(worker, message) for worker in asked for message in worker.news()]:
                return said
            if (left := deadline - time.monotonic()) <= 0:
                return []
            time.sleep(min(_LOOK_SECONDS, left))


class _RayWorker(Worker):
    """The driver's view of one actor."""

    def __init__(self, actor: Any, threads: int) -> None:
        super().__init__()
        self._actor = actor
        self._threads = threads
        self._asked: Any = None
        self._next: str | None = None
        self._end = ""

    def send(self, spec: TrialSpec, artifacts: Path) -> None:
        # It begins as soon as the actor has a place on the cluster: only then can silence mean that it hangs.
        self._next = spec.model_dump_json()

    def answer(self, keep_going: bool) -> None:
        self._actor.answer.remote(keep_going)

    def news(self) -> list[Message | None]:
        """Return what has come since the last time; never waits.

        An actor that does not answer gives no sign of progress either.
        """
        import ray

        self._asked = self._asked or self._actor.news.remote()
        ready, _ = ray.wait([self._asked], timeout=0)
        if not ready:
            return []
        asked, self._asked = self._asked, None
        try:
            messages: list[Message | None] = ray.get(asked)
        except ray.exceptions.RayError as error:
            self._end = one_line(error, 300)
            return [None]
        if self._next is not None:
            self._actor.run.remote(self._next, self._threads)
            self._next = None
        return messages

    def record(self, message: Message) -> TrialRecord:
        """Write what a final has kept, and return the record."""
        for name, data in message["files"].items():
            file = self.artifacts / name
            if not file.resolve().is_relative_to(self.artifacts.resolve()):
                raise ValueError(f"a worker on the cluster sent a file for outside of its folder: {name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return super().record(message)

    def kill(self) -> None:
        import ray

        with suppress(Exception):  # it may be dead, and its node too
            ray.kill(self._actor, no_restart=True)

    def how_it_ended(self) -> str:
        return f"the worker on the cluster died: {self._end}"


class Actor:
    """Runs in a process of a node; keeps its base model resident between trials."""

    def __init__(self, runner: str) -> None:
        self._make_runner = load_target(runner)
        self._run: Any = None
        self._news: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._pulse = Pulse()

    def run(self, text: str, threads: int) -> None:
        """Run one spec; how it ended is the last of its news."""
        self._pulse.begin()
        self._news.put({"begun": True})
        try:
            spec = TrialSpec.model_validate(json.loads(text))
        except ValueError as error:  # of another version of promptscale, on that node
            self._news.put({"refused": f"a worker on the cluster cannot read the trial: {one_line(error, 200)}"})
            return
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            kept = Path(folder) / "kept"
            self._run = self._run or self._make_runner()
            answer = answered(self._run, spec, self, kept, threads)
            files = {path.relative_to(kept).as_posix(): path.read_bytes() for path in kept.rglob("*") if path.is_file()}
        self._news.put({**answer, "files": files})

    def news(self) -> list[dict[str, Any]]:
        """Return the messages since the last call, and whether the trial has got on since."""
        alive = [{"alive": True}] if self._pulse.alive() else []
        return [*alive, *(self._news.get() for _ in range(self._news.qsize()))]

    def answer(self, keep_going: bool) -> None:
        """Hear the study's verdict on the last validation."""
        self._answers.put(keep_going)

    def progress(self, step: int, steps: int, loss: float) -> None:
        """Tell of an optimizer step."""
        beat()
        self._news.put({"progress": (step, steps, loss)})

    def validated(self, step: int, value: float) -> bool:
        """Tell of a validation score and wait for the verdict."""
        beat()
        self._news.put({"validated": (step, value)})
        return self._answers.get()
