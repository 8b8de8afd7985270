"""The accelerate engine: each trial runs in several processes of this machine, started by ``accelerate launch``.

For a model that is too large for one GPU. Rank 0 is the worker that the driver speaks to; it passes each spec on to the
others. A process that dies takes its group with it, and the group's trial is marked; the next trial has a new group.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import yaml
from pydantic import Field, model_validator

from bench.core.errors import BadInput, one_line
from bench.core.registry import load_target
from bench.engines import running
from bench.engines.base import Listener, Pool, cores
from bench.engines.processes import Processes, ProcessPool
from bench.engines.running import Runner, answered
from bench.engines.worker import Channel
from bench.runs.record import Status, TrialRecord
from bench.runs.spec import TrialSpec

if TYPE_CHECKING:
    from bench.training.distributed import DistributedRanks

_KINDS = ("FSDP", "MULTI_GPU", "MULTI_CPU")
_FAILED = "failed.json"
"""In the group's scratch folder: what a rank that has failed alone has to say."""
_LOOK_SECONDS = 0.5
_DYING_SECONDS = 1.0


class Distributed(Processes):
    """Runs each trial in several processes that hold the base model together (FSDP), one GPU each.

    For example::

        engine: accelerate
        engine_options: {num_processes: 4, config_file: fsdp.yaml}
    """

    on_this_machine: ClassVar[bool] = False
    module: ClassVar[str] = "bench.engines.distributed"
    runner: ClassVar[str] = "bench.engines.distributed:training_runner"

    num_processes: int = Field(2, gt=0)
    """Processes a trial, each with a GPU of its own where there are GPUs."""
    config_file: Path | None = None
    """What ``accelerate config`` has written; of it are used: distributed_type (FSDP, or MULTI_GPU for a copy of
    the whole model in each process), fsdp_reshard_after_forward, fsdp_offload_params, and what ``accelerate launch``
    itself reads. Without a file: FSDP."""

    @model_validator(mode="after")
    def _check_file(self) -> Self:
        if self.config_file is not None:
            _check_accelerate_file(self.config_file.expanduser())
        return self

    def start(self, listener: Listener) -> Pool:
        """Return a pool; groups start when they are first needed."""
        return _GroupPool(self, listener)

    def command(self) -> list[str]:
        """Return what starts a group, but for its last arguments."""
        launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(self.num_processes)]
        if self.config_file is not None:
            launch += ["--config_file", str(self.config_file.expanduser().absolute())]
        else:
            # accelerate's default values: left out, its advice to give them would be the last line of a group's log.
            launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
            launch += ["--use_fsdp", "--fsdp_version", "2"]
        # A port of its own: several groups may run at once.
        return [*launch, "--main_process_port", "0", "--module", self.module]


def _check_accelerate_file(file: Path) -> None:
    """Check what ``accelerate config`` has written.

    Raises:
        ValueError: it cannot be read, or asks for what this engine does not do.
    """
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be read as an accelerate configuration: {one_line(error)}") from None
    kind = told.get("distributed_type") if isinstance(told, dict) else None
    if kind not in _KINDS:
        raise ValueError(
            f"{file}: distributed_type is {kind!r}; this engine shards by FSDP, or copies by MULTI_GPU; "
            "write one by 'accelerate config'"
        )
    if told.get("num_machines", 1) != 1:
        raise ValueError(f"{file}: num_machines is {told['num_machines']}; a trial runs on one machine")


class _GroupPool(ProcessPool):
    """N groups of processes, each a worker."""

    def __init__(self, engine: Distributed, listener: Listener) -> None:
        super().__init__(engine, listener)
        size = engine.num_processes
        if self._gpus and len(self._gpus) < size * engine.workers:
            raise BadInput(
                f"engine_options.num_processes: {engine.workers} x {size} GPUs are needed, there are {len(self._gpus)}"
            )
        self._gpus = [",".join(self._gpus[i : i + size]) for i in range(0, len(self._gpus) - size + 1, size)]
        self._threads = max(1, cores() // (engine.workers * size))
        self._command = engine.command()


class _Rank:
    """This process in its group, and what the group says to each other. JSON, not pickle, here too."""

    def __init__(self, scratch: Path) -> None:
        import torch
        import torch.distributed as dist
        from accelerate import PartialState

        self._state = PartialState(cpu=not torch.cuda.is_available())
        self.rank: int = dist.get_rank()
        self._failed = scratch / _FAILED
        # Between trials the others wait for rank 0 for as long as it takes.
        self._talk = dist.new_group(backend="gloo", timeout=timedelta(days=365))
        processes = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size())]
        dist.all_gather(processes, torch.tensor([os.getpid()]), group=self._talk)
        self._processes = [int(process) for process in processes]

    def tell(self, message: Any = None) -> Any:
        """Return in every process what rank 0 has given."""
        import torch
        import torch.distributed as dist

        data = json.dumps(message).encode() if self.rank == 0 else b""
        size = torch.tensor([len(data)])
        dist.broadcast(size, 0, group=self._talk)
        text = torch.frombuffer(bytearray(data or bytes(int(size))), dtype=torch.uint8)
        dist.broadcast(text, 0, group=self._talk)
        return json.loads(text.numpy().tobytes())

    def whole(self) -> bool:
        """Return whether all processes of the group are alive, and stay it: a connection ends before its process."""
        until = time.monotonic() + _DYING_SECONDS
        while self._alive():
            if time.monotonic() > until:
                return True
            time.sleep(0.05)
        return False

    def _alive(self) -> bool:
        import psutil

        try:
            return all(psutil.Process(process).status() != psutil.STATUS_ZOMBIE for process in self._processes)
        except psutil.NoSuchProcess:
            return False

    def failed(self, status: Status, reason: str) -> None:
        """Say to rank 0 that this process has failed alone."""
        # Whole or not at all; where the driver has removed the folder already, it is not made again.
        told = self._failed.with_suffix(f".{self.rank}")
        told.write_text(json.dumps({"status": status, "reason": f"rank {self.rank}: {reason}"}))
        told.replace(self._failed)

    def failure(self) -> dict[str, Any] | None:
        """Return what a process has said that failed alone."""
        try:
            return dict(json.loads(self._failed.read_text()))
        except FileNotFoundError:
            return None


class _GroupListener:
    """The listener of every process: rank 0 speaks to the driver, all get the answer."""

    def __init__(self, group: _Rank, channel: Channel | None) -> None:
        self._group, self._channel = group, channel

    def progress(self, step: int, steps: int, loss: float) -> None:
        if self._channel is not None:
            self._channel.progress(step, steps, loss)

    def validated(self, step: int, value: float) -> bool:
        verdict = self._channel.validated(step, value) if self._channel is not None else None
        return bool(self._group.tell(verdict))


def training_runner(group: _Rank) -> Runner:
    """Return what runs trials together with the other processes of the group."""
    return running.training_runner(sharing(group.failed))


def sharing(tell: Callable[[Status, str], None]) -> DistributedRanks:
    """Return this process as one of its group, which shares a model as ``accelerate launch`` was told to."""
    from bench.training.distributed import DistributedRanks
    from bench.training.fully_sharded import FullySharded

    if _says("ACCELERATE_USE_FSDP", "false"):
        return FullySharded(tell, _says("FSDP_RESHARD_AFTER_FORWARD", "true"), _says("FSDP_OFFLOAD_PARAMS", "false"))
    return DistributedRanks(tell)


def _says(name: str, default: str) -> bool:
    return os.environ.get(name, default).lower() in ("true", "1", "yes")


def _watch_parent() -> None:
    """End this process with the one that has started it: it may be in a session of its own."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def _watch_group(group: _Rank, channel: Channel, now: list[TrialSpec]) -> None:
    """Report the failure of another process, for which this one may wait in vain."""
    while (failure := group.failure()) is None:
        time.sleep(_LOOK_SECONDS)
    if now:
        channel.send({"record": TrialRecord.of(now[0], **failure).model_dump(mode="json")})


def serve(scratch: str, runner: str) -> None:
    """Serve as one process of a group until the driver closes the pipe."""
    threading.Thread(target=_watch_parent, daemon=True).start()
    group_rank = int(os.environ.get("RANK", "0"))
    channel = Channel(scratch) if group_rank == 0 else None
    if channel is None:
        os.dup2(2, 1)  # whatever a library prints goes to the log; the driver hears rank 0 alone
    else:
        threading.Thread(target=channel.beat, daemon=True).start()
    group = _Rank(Path(scratch))
    run = load_target(runner)(group)
    now: list[TrialSpec] = []
    if channel is not None:
        threading.Thread(target=_watch_group, args=(group, channel, now), daemon=True).start()
    while True:
        message = group.tell(channel.receive() if channel is not None else None)
        spec = TrialSpec.model_validate(message["run"])
        now[:] = [spec]
        answer = answered(run, spec, _GroupListener(group, channel), Path(message["artifacts"]), message["threads"])
        if answer.get("record", {}).get("status") == "error" and not group.whole():
            os._exit(1)  # no error of the trial's: another process has died, and this one has heard of it first
        now.clear()
        if channel is not None:
            channel.send(answer)


if __name__ == "__main__":
    try:
        serve(sys.argv[1], sys.argv[2])
    finally:
        shutil.rmtree(sys.argv[1], ignore_errors=True)
