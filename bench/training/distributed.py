"""One trial by several processes: each batch and each split is divided among them, and their sums are added.

Here every process holds the whole base model; `bench.training.fully_sharded` divides it too.
Sums run over the whole batch before anything is divided, so loss, gradients and trained weights are those of one
process but for rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from bench.forward.batch import Batch, evaluation_batches
from bench.methods.base import TunedModel
from bench.runs.record import Status
from bench.training.answers import Pair
from bench.training.encoding import Encoder
from bench.training.evaluation import Scored, Scorer
from bench.training.ranks import Ranks
from bench.training.step import Stepper

if TYPE_CHECKING:
    from bench.datasets.examples import Example


class DistributedModel:
    """A `TunedModel` spread over processes: what it saves comes from all, and all stay the same.

    Everything else is the model's own.
    """

    def __init__(self, tuned: TunedModel) -> None:
        self._tuned = tuned
        self._best: dict[str, Tensor] = {}
        self._last: Batch | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tuned, name)

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits of this process's part of a batch."""
        self._last = batch
        return self._tuned.logits(batch)

    def repeat(self) -> None:
        """Run the last batch again, for nothing: another process has one more, and gathers weights from this one."""
        assert self._last is not None
        self.logits(self._last)

    def save(self, folder: Path) -> None:
        """Keep the weights in each process, and write them whole from rank 0."""
        self._best = {name: local(p).detach().cpu().clone() for name, p in self._tuned.trainable().items()}
        with self._gathered():
            if dist.get_rank() == 0:
                self._tuned.save(folder)

    def load(self, folder: Path) -> None:
        """Put back what was saved last; the file is of rank 0 alone."""
        with torch.no_grad():
            for name, parameter in self._tuned.trainable().items():
                local(parameter).copy_(self._best[name])

    @contextmanager
    def _gathered(self) -> Iterator[None]:
        """Have whole parameters in rank 0, in the memory of the host, gathered one after the other."""
        needed = any(isinstance(p, DTensor) for p in self._tuned.trainable().values())
        replaced: list[tuple[nn.Module, str, Parameter]] = []
        for module in self._tuned.network.modules() if needed else ():
            for name, parameter in list(module._parameters.items()):
                if isinstance(parameter, DTensor):
                    whole = parameter.detach().full_tensor()  # every process takes part
                    if dist.get_rank() == 0:
                        replaced.append((module, name, parameter))
                        module._parameters[name] = Parameter(whole.cpu(), parameter.requires_grad)
        try:
            yield
        finally:
            for module, name, parameter in replaced:
                module._parameters[name] = parameter

    def detach(self) -> None:
        """Do nothing: a model that was spread over processes is not used again."""


class DistributedStepper(Stepper):
    """Takes a step over a batch of which each process runs its part."""

    def _accumulate(self, pairs: Sequence[Pair]) -> tuple[float, int]:
        mine = super()._accumulate(pairs)
        add_gradients(self._whole)  # those of the sharded ones have been added on the way
        loss, tokens = summed(np.array(mine), self.encoder.device)
        return float(loss), int(tokens)

    def _groups(self) -> list[list[Parameter]]:
        """Return whole and sharded parameters apart: an optimizer works on one kind at a time."""
        self._whole = [p for p in self.parameters if not isinstance(p, DTensor)]
        self._parts: list[Parameter] = [p for p in self.parameters if isinstance(p, DTensor)]
        return [self._whole, self._parts]

    def _clip(self) -> float:
        squares = 0.0
        for group in (self._whole, self._parts):
            total = get_total_norm([p.grad for p in group if p.grad is not None])
            squares += float(total.full_tensor() if isinstance(total, DTensor) else total) ** 2
        norm = math.sqrt(squares)
        for group in (self._whole, self._parts):
            clip_grads_with_norm_(group, self._settings.max_grad_norm or math.inf, torch.tensor(norm))
        return norm

    def _count_gradients(self) -> int:
        whole, parts = (
            sum(int(local(p.grad).count_nonzero()) for p in group if p.grad is not None)
            for group in (self._whole, self._parts)
        )
        return whole + int(summed(np.array([parts]), self.encoder.device)[0])

    def _mine(self, pairs: Sequence[Pair]) -> tuple[Sequence[Pair], bool]:
        # A process without an example runs one all the same, for nothing: the others gather weights from it.
        return pairs[dist.get_rank() :: dist.get_world_size()] or pairs[:1], dist.get_rank() < len(pairs)


class DistributedScorer(Scorer):
    """Scores a split of which each process runs its part; every process has all scores in the end."""

    def no_gradients(self) -> AbstractContextManager[Any]:
        """Surround every forward pass: what is gathered in inference mode cannot be used in training."""
        return torch.no_grad()

    def _scored(self, examples: Sequence[Example]) -> Scored:
        self._divided = len(examples) >= dist.get_world_size()
        return super()._scored(examples)

    def _gather(self, done: Scored) -> None:
        if not self._divided:
            return  # so few that every process has run them all
        # Not the inputs that were cut: every process encodes the whole split.
        mine = [done.counts["tokens"], done.counts["answers"]]
        added = summed(np.concatenate([done.scores.reshape(-1), done.right.reshape(-1), mine]), self._encoder().device)
        done.counts["tokens"], done.counts["answers"] = map(round, added[-2:])
        done.scores[:] = added[: done.scores.size].reshape(done.scores.shape)
        done.right[:] = added[done.scores.size : -2].reshape(done.right.shape)

    def _batches(self, lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
        """Yield this process's batches; all run equally many, the last of some for nothing."""
        if not self._divided:
            yield from evaluation_batches(lengths, batch_size)
            return
        order = [i for batch in evaluation_batches(lengths, batch_size) for i in batch]
        rank, world = dist.get_rank(), dist.get_world_size()
        mine = order[rank::world]
        most = math.ceil(math.ceil(len(order) / world) / batch_size)
        batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
        yield from batches
        for _ in range(most - len(batches)):
            cast(DistributedModel, self.tuned).repeat()


def summed(values: np.ndarray, device: torch.device) -> np.ndarray:
    """Return the sum over all processes, float64."""
    tensor = torch.from_numpy(values.astype(np.float64)).to(device)
    dist.all_reduce(tensor)
    return tensor.cpu().numpy()


def add_gradients(parameters: Sequence[Parameter]) -> None:
    """Add up the gradients of parameters that stand whole in every process."""
    if not parameters:
        return
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1).float() for p in parameters])
    dist.all_reduce(flat)
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        if parameter.grad is not None:
            parameter.grad.copy_(part.view_as(parameter))
        elif part.any():
            parameter.grad = part.view_as(parameter).to(parameter.dtype)


def same_everywhere(tuned: TunedModel) -> None:
    """Give every process what rank 0 has of the trained parameters that stand whole in each."""
    for parameter in tuned.trainable().values():
        if not isinstance(parameter, DTensor):
            dist.broadcast(parameter.data, 0)


def local(parameter: Tensor) -> Tensor:
    """Return what this process holds of a parameter."""
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


class DistributedRanks(Ranks):
    """This process as one of several that run each trial together, each with the whole model; a process group stands.

    Args:
        tell: called in the process that fails alone, with status and reason.
    """

    stepper = DistributedStepper
    scorer = DistributedScorer
    counts_tensors = False  # the counter cannot look into sharded tensors
    how: str = "base model whole in each process"
    """What each process holds."""

    def __init__(self, tell: Callable[[Status, str], None]) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._tell = tell
        self._kept_whole = 0

    def share(self, tuned: TunedModel, base: set[Parameter], encoder: Encoder | None) -> TunedModel:
        """Spread the model, and divide batches among the processes."""
        if encoder is None:
            return tuned
        shared, self._kept_whole = self._spread(tuned, base, encoder)
        if self.rank:  # other examples, other dropout
            torch.manual_seed(torch.initial_seed() + self.rank)
        return cast(TunedModel, shared)

    def _spread(self, tuned: TunedModel, base: set[Parameter], encoder: Encoder) -> tuple[DistributedModel, int]:
        """Return the model as all processes have it, and how many of its parameters stand whole in each."""
        same_everywhere(tuned)
        return DistributedModel(tuned), sum(p.numel() for p in tuned.network.parameters())

    def report_failure(self, status: Status, reason: str) -> None:
        """Tell rank 0, and wait for the end: the others wait for this process and cannot be reached."""
        if self.rank:
            self._tell(status, reason)
            while True:
                time.sleep(1.0)  # rank 0 reports, and the engine ends all of them

    def notes(self) -> dict[str, int | str]:
        """Say how many processes there were and what each of them held."""
        what = "memory figures are those of rank 0; live tensors and the task switch not measured"
        return {
            "processes": self.size,
            "distributed": f"{self.how}; {what}",
            "unsharded_parameters": self._kept_whole,
        }
