"""The ray engine: the same workers as actors of a Ray cluster. Needs the extra ``ray``."""

from __future__ import annotations

import json
import queue
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from bench.engines.base import Engine, Listener, Pool, lost
from bench.engines.running import guarded
from bench.errors import BadInput, BenchError, Unavailable
from bench.records import TrialRecord
from bench.registry import load_target
from bench.spec import TrialSpec

LOOK_SECONDS = 0.1
"""How often an actor is asked for news."""


class Ray(Engine):
    """Runs trials in actors of a Ray cluster, each with CPUs, memory and GPUs (or a part of one) of its own.

    promptscale and its data have to be there on every node; records and adapters are written by the driver alone.
    """

    runner: ClassVar[str] = "bench.engines.running:training_runner"
    """What makes what runs a spec, as ``module:attribute``; imported on the node."""

    address: str | None = None
    """Of the cluster: ``auto``, ``host:6379`` or ``ray://host:10001``; null starts Ray on this machine."""
    cpus: float = Field(1, gt=0)
    """CPUs a worker, which are also its threads."""
    gpus: float = Field(0, ge=0)
    """GPUs a worker; 0.25 lets four small models share one."""
    memory_gb: float | None = Field(None, gt=0)
    """Memory a worker, in GB, which Ray sets aside for it."""

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
            try:
                ray.init(address=self.address, namespace="promptscale", log_to_driver=False, **local)
            except Exception as error:  # Ray raises what it likes
                said = " ".join(str(error).split())
                raise Unavailable(f"no Ray cluster at {self.address or 'this machine'}: {said}") from error
        return RayPool(self, listener)


class RayPool(Pool):
    """N slots, each with an actor once it was needed."""

    def __init__(self, engine: Ray, listener: Listener) -> None:
        import ray

        self._engine, self._listener = engine, listener
        self._slots: list[_Slot | None] = [None] * engine.workers
        resources: dict[str, Any] = {"num_cpus": engine.cpus, "num_gpus": engine.gpus}
        if engine.memory_gb is not None:
            resources["memory"] = int(engine.memory_gb * 1e9)
        # Ray would run what died again by itself, several times; whether to is the driver's to say. Three threads:
        # one runs the trial, one gives news, one takes answers.
        resources |= {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 3}
        self._make: Any = ray.remote(**resources)(Actor)

    def free(self) -> int:
        """Return the number of slots without a trial."""
        return sum(slot is None or slot.spec is None for slot in self._slots)

    def submit(self, spec: TrialSpec, artifacts: Path) -> None:
        """Give a spec to an idle actor, one that has the base model already if there is one."""
        idle = [i for i, slot in enumerate(self._slots) if slot is None or slot.spec is None]

        def warmth(index: int) -> int:
            slot = self._slots[index]
            return 1 if slot is None else 0 if slot.model == spec.cell.model else 2

        index = min(idle, key=warmth)
        slot = self._slots[index]
        if slot is None:
            slot = self._slots[index] = _Slot(self._make.remote(self._engine.runner))
        slot.begin(spec, artifacts, max(1, int(self._engine.cpus)))

    def poll(self, timeout: float) -> list[TrialRecord]:
        """Ask the actors for news until something ends or the time is over."""
        deadline = time.monotonic() + timeout
        ended: list[TrialRecord] = []
        while not ended:
            for index, slot in enumerate(self._slots):
                if slot is not None and slot.spec is not None:
                    record = self._look(slot)
                    if record is not None:
                        ended.append(record)
                        if slot.dead:
                            self._slots[index] = None
            if time.monotonic() >= deadline:
                break
            time.sleep(LOOK_SECONDS)
        return ended

    def cancel(self, spec: TrialSpec) -> None:
        """Kill the actor that runs ``spec``."""
        for index, slot in enumerate(self._slots):
            if slot is not None and slot.spec == spec:
                slot.kill()
                self._slots[index] = None

    def close(self) -> None:
        """Kill all actors; the cluster stays as it is."""
        for slot in self._slots:
            if slot is not None:
                slot.kill()
        self._slots = [None] * len(self._slots)

    def _look(self, slot: _Slot) -> TrialRecord | None:
        """Handle an actor's news; return a record if its trial has ended."""
        import ray

        assert slot.spec is not None
        spec = slot.spec
        limit = spec.cell.runtime.trial_timeout
        try:
            for message in slot.news():
                slot.began = slot.began or time.monotonic()
                if "progress" in message:
                    self._listener.progress(spec, *message["progress"])
                elif "validated" in message:
                    slot.actor.answer.remote(self._listener.validated(spec, *message["validated"]))
                elif "refused" in message:
                    slot.spec = None
                    raise BadInput(message["refused"])
                elif "record" in message:
                    return slot.finish(message)
        except ray.exceptions.RayActorError as error:
            if slot.trials and not slot.began:  # it died while it was idle, and has not seen this trial
                slot.replace(self._make.remote(self._engine.runner))
                return None
            slot.kill()
            said = " ".join(str(error).split())
            return lost(spec, "killed", f"the worker on the cluster died: {said[:300]}")
        if limit is not None and slot.began and time.monotonic() - slot.began > limit:
            slot.kill()
            return lost(spec, "timeout", f"stopped after {limit:g} s (runtime.trial_timeout)")
        return None


class _Slot:
    """The driver's view of one actor."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.spec: TrialSpec | None = None
        self.model: Any = None
        self.began = 0.0
        """When its first news came; before that it may have waited for a place on the cluster."""
        self.dead = False
        self.trials = 0
        """Trials that have ended in this actor."""
        self._threads = 1
        self._artifacts = Path()
        self._asked: Any = None

    def begin(self, spec: TrialSpec, artifacts: Path, threads: int) -> None:
        """Begin a trial."""
        self.spec, self.model, self.began, self._artifacts = spec, spec.cell.model, 0.0, artifacts
        self._threads = threads
        self.actor.run.remote(spec.model_dump_json(), threads)

    def replace(self, actor: Any) -> None:
        """Begin the same trial in another actor."""
        assert self.spec is not None
        self.actor, self.trials, self._asked = actor, 0, None
        self.begin(self.spec, self._artifacts, self._threads)

    def news(self) -> list[dict[str, Any]]:
        """Return what has come since the last time; never waits."""
        import ray

        self._asked = self._asked or self.actor.news.remote()
        ready, _ = ray.wait([self._asked], timeout=0)
        if not ready:
            return []
        asked, self._asked = self._asked, None
        messages: list[dict[str, Any]] = ray.get(asked)
        return messages

    def finish(self, message: dict[str, Any]) -> TrialRecord:
        """Write what a final has kept, and return the record."""
        for name, data in message["files"].items():
            self._artifacts.mkdir(parents=True, exist_ok=True)
            (self._artifacts / Path(name).name).write_bytes(data)
        self.spec = None
        self.trials += 1
        return TrialRecord.model_validate_json(message["record"])

    def kill(self) -> None:
        """End the actor, wherever it is."""
        import ray

        self.dead, self.spec = True, None
        with suppress(Exception):  # it may be dead, and its node too
            ray.kill(self.actor, no_restart=True)


class Actor:
    """Runs in a process of a node; keeps its base model resident between trials."""

    def __init__(self, runner: str) -> None:
        self._make_runner = load_target(runner)
        self._run: Any = None
        self._news: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def run(self, text: str, threads: int) -> None:
        """Run one spec; how it ended is the last of its news."""
        self._news.put({"begun": True})
        spec = TrialSpec.model_validate(json.loads(text))
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            kept = Path(folder) / "kept"
            try:
                self._run = self._run or self._make_runner()
                record = guarded(self._run, spec, self, kept, threads)
            except BenchError as error:
                self._news.put({"refused": str(error)})
                return
            files = {path.name: path.read_bytes() for path in kept.glob("*") if path.is_file()}
        self._news.put({"record": record.model_dump_json(), "files": files})

    def news(self) -> list[dict[str, Any]]:
        """Return the messages since the last call."""
        return [self._news.get() for _ in range(self._news.qsize())]

    def answer(self, keep_going: bool) -> None:
        """Hear the study's verdict on the last validation."""
        self._answers.put(keep_going)

    def progress(self, step: int, steps: int, loss: float) -> None:
        """Tell of an optimizer step."""
        self._news.put({"progress": (step, steps, loss)})

    def validated(self, step: int, value: float) -> bool:
        """Tell of a validation score and wait for the verdict."""
        self._news.put({"validated": (step, value)})
        return self._answers.get()
