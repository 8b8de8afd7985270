"""One trial by several processes: the base model sharded over them, each batch and each split divided among them.

The blocks of the base model are sharded by PyTorch's ``fully_shard`` (FSDP2): each process holds its part of each block
and gathers a block for the moment in which it runs, so any forward path works as it is. What a method has added is
small and stands whole in every process; its gradients are summed. Base weights that are trained (full fine-tuning)
are sharded with their gradients and optimizer states. Sums run over the whole batch before anything is divided, so
loss, gradients and trained weights are those of one process but for rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy
from torch.nn.utils import get_total_norm

from bench.forward.batch import Batch
from bench.methods.base import TunedModel
from bench.records import Status
from bench.training.batching import evaluation_batches
from bench.training.device import autocast
from bench.training.encoding import Encoder, Pair
from bench.training.evaluation import Scorer
from bench.training.ranks import Ranks
from bench.training.step import Stepper

if TYPE_CHECKING:
    from bench.datasets.base import Example

_GRADIENT_EPSILON = 1e-6
"""As in `torch.nn.utils.clip_grad_norm_`."""


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """Return the repeated blocks of a network: the members of its outermost lists of modules."""
    blocks: list[nn.Module] = []
    inside: list[str] = []
    for name, module in network.named_modules():
        if any(name.startswith(f"{prefix}.") for prefix in inside):
            continue
        if isinstance(module, nn.ModuleList) and len(module) > 1:
            inside.append(name)
            blocks.extend(child for child in module if any(True for _ in child.parameters()))
    return blocks


def _move(tuned: TunedModel, device: torch.device) -> None:
    """Move what is not sharded to the device."""
    for tensor in [*tuned.network.parameters(), *tuned.network.buffers(), *tuned.trainable().values()]:
        if not isinstance(tensor, DTensor):
            tensor.data = tensor.data.to(device)


class Shared:
    """A `TunedModel` spread over processes: what it saves comes from all, and all stay the same.

    Everything else is the model's own.
    """

    def __init__(self, tuned: TunedModel) -> None:
        self._tuned = tuned
        self._best: dict[str, Tensor] = {}
        self._last: Batch | None = None
        for parameter in tuned.trainable().values():
            if not isinstance(parameter, DTensor):
                dist.broadcast(parameter.data, 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tuned, name)

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits of this process's part of a batch."""
        self._last = batch
        return self._tuned.logits(batch)

    def repeat(self) -> None:
        """Run the last batch again, for nothing: another process has one more, and gathers blocks from this one."""
        assert self._last is not None
        self._tuned.logits(self._last)

    def save(self, folder: Path) -> None:
        """Keep the weights in each process, and write them whole from rank 0."""
        trained = self._tuned.trainable()
        self._best = {name: _local(p).detach().cpu().clone() for name, p in trained.items()}
        with self._gathered(any(isinstance(p, DTensor) for p in trained.values())):
            if dist.get_rank() == 0:
                self._tuned.save(folder)

    def load(self, folder: Path) -> None:
        """Put back what was saved last; the file is of rank 0 alone."""
        with torch.no_grad():
            for name, parameter in self._tuned.trainable().items():
                _local(parameter).copy_(self._best[name])

    def detach(self) -> None:
        """Do nothing: a model that was sharded is not used again."""

    @contextmanager
    def _gathered(self, needed: bool) -> Iterator[None]:
        """Have whole parameters in rank 0, in the memory of the host, gathered one after the other."""
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


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


class SharedStepper(Stepper):
    """Takes a step over a batch of which each process runs its part."""

    def _groups(self) -> Any:
        """Return whole and sharded parameters apart: an optimizer works on one kind at a time."""
        self._whole = [p for p in self.parameters if not isinstance(p, DTensor)]
        self._parts = [p for p in self.parameters if isinstance(p, DTensor)]
        return [{"params": group} for group in (self._whole, self._parts) if group]

    def _accumulate(self, pairs: Sequence[Pair]) -> tuple[float, int]:
        supervised = sum(len(target) for _, target in pairs)
        size = math.ceil(len(pairs) / self._settings.gradient_accumulation_steps)
        rank, world = dist.get_rank(), dist.get_world_size()
        total, tokens = 0.0, 0
        for start in range(0, len(pairs), size):
            together = pairs[start : start + size]
            # A process without an example runs one all the same, for nothing: the others gather blocks from it.
            mine, weight = together[rank::world] or together[:1], float(rank < len(together))
            batch = self.encoder.batch(mine)
            with autocast(self.encoder.device, self._dtype):
                logits = self.tuned.logits(batch)
            loss = cross_entropy(logits.float(), batch.targets, reduction="sum") * (weight / supervised)
            loss.backward()
            total += loss.item()
            tokens += int(batch.attention_mask.sum() * weight)
        self._add_gradients()
        summed = _summed(np.array([total, tokens]), self.encoder.device)
        return float(summed[0]), int(summed[1])

    def _add_gradients(self) -> None:
        """Add the gradients of what stands whole in every process."""
        if not self._whole:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1).float() for p in self._whole])
        dist.all_reduce(flat)
        for parameter, part in zip(self._whole, flat.split([p.numel() for p in self._whole]), strict=True):
            if parameter.grad is not None:
                parameter.grad.copy_(part.view_as(parameter))
            elif part.any():
                parameter.grad = part.view_as(parameter).to(parameter.dtype)

    def _clip(self) -> float:
        gradients = [[p.grad for p in group if p.grad is not None] for group in (self._whole, self._parts)]
        squares = 0.0
        for group in filter(None, gradients):
            total = get_total_norm(group)
            squares += float(total.full_tensor() if isinstance(total, DTensor) else total) ** 2
        norm = math.sqrt(squares)
        limit = self._settings.max_grad_norm
        if limit is not None and math.isfinite(norm):
            scale = min(1.0, limit / (norm + _GRADIENT_EPSILON))
            for gradient in (g for group in gradients for g in group):
                gradient.mul_(scale)
        return norm

    def _count_gradients(self) -> int:
        whole = sum(int(p.grad.count_nonzero()) for p in self._whole if p.grad is not None)
        parts = sum(int(_local(p.grad).count_nonzero()) for p in self._parts if p.grad is not None)
        return whole + int(_summed(np.array([float(parts)]), self.encoder.device)[0])


class SharedScorer(Scorer):
    """Scores a split of which each process runs its part; every process has all scores in the end."""

    no_gradients = staticmethod(torch.no_grad)  # what is gathered in inference mode cannot be used in training

    def _by_logits(self, examples: Sequence[Example]) -> np.ndarray:
        before = (self._loss, self._label_tokens, self._tokens, self._answers)
        self._divided = len(examples) >= dist.get_world_size()
        scores = super()._by_logits(examples)
        if not self._divided:
            return scores  # so few that every process has run them all
        # What is not of the split is not counted; then there is nothing to add.
        since = [now - then for now, then in zip(self._counts(), before, strict=True)]
        summed = _summed(np.concatenate([scores.reshape(-1), since]), self._encoder().device)
        loss, label_tokens, tokens, answers = (then + new for then, new in zip(before, summed[-4:], strict=True))
        self._loss, self._label_tokens = float(loss), round(label_tokens)
        self._tokens, self._answers = round(tokens), round(answers)
        return summed[:-4].reshape(scores.shape)

    def _counts(self) -> tuple[float, int, int, int]:
        return self._loss, self._label_tokens, self._tokens, self._answers

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
            cast(Shared, self.tuned).repeat()


def _summed(values: np.ndarray, device: torch.device) -> np.ndarray:
    """Return the sum over all processes, float64."""
    tensor = torch.from_numpy(values.astype(np.float64)).to(device)
    dist.all_reduce(tensor)
    return tensor.cpu().numpy()


class Together(Ranks):
    """This process as one of several that run each trial together; a process group stands already.

    Args:
        sharded: shard the base model; without it every process holds all of it.
        reshard_after_forward: let go of a block's gathered weights after its forward pass, and gather them again for
            the backward pass.
        cpu_offload: keep the shards in the memory of the host.
        tell: called in the process that fails alone, with status and reason.
    """

    stepper = SharedStepper
    scorer = SharedScorer
    counts_tensors = False  # the counter cannot look into sharded tensors

    def __init__(
        self, sharded: bool, reshard_after_forward: bool, cpu_offload: bool, tell: Callable[[Status, str], None]
    ) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._sharded, self._reshard, self._offload, self._tell = sharded, reshard_after_forward, cpu_offload, tell
        self._kept_whole = 0

    def loads_on(self, device: torch.device) -> torch.device:
        """Return the host: a model that is to be sharded need not fit on one device."""
        return torch.device("cpu") if self._sharded else device

    def share(self, tuned: TunedModel, base: set[Parameter], encoder: Encoder | None) -> TunedModel:
        """Shard the blocks, and divide batches among the processes."""
        if encoder is None:
            return tuned
        device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else encoder.device
        if self._sharded:
            for block in blocks_of(tuned.network):
                self._shard(block, base)
            _move(tuned, device)
            encoder.device = device
        if self.rank:  # other examples, other dropout
            torch.manual_seed(torch.initial_seed() + self.rank)
        self._kept_whole = sum(p.numel() for p in tuned.network.parameters() if not isinstance(p, DTensor))
        return cast(TunedModel, Shared(tuned))

    def stuck(self, status: Status, reason: str) -> None:
        """Tell rank 0, and wait for the end: the others wait for this process and cannot be reached."""
        if self.rank:
            self._tell(status, reason)
            while True:
                time.sleep(1.0)  # rank 0 reports, and the engine ends all of them

    def notes(self) -> dict[str, int | str]:
        """Say how many processes there were and what each of them held."""
        how = "blocks of the base model sharded (FSDP)" if self._sharded else "base model whole in each process"
        return {
            "processes": self.size,
            "distributed": f"{how}; memory figures are those of rank 0; live tensors and the task switch not measured",
            "unsharded_parameters": self._kept_whole,
        }

    def _shard(self, block: nn.Module, base: set[Parameter]) -> None:
        mine = [p for p in block.parameters() if p in base]
        # A group has one dtype; the few of another one (biases trained in float32) stay whole.
        common = max({p.dtype for p in mine}, key=lambda dtype: sum(p.numel() for p in mine if p.dtype == dtype))
        whole = {p for p in block.parameters() if p not in base or p.dtype != common}
        fully_shard(
            block,
            reshard_after_forward=self._reshard,
            offload_policy=CPUOffloadPolicy() if self._offload else OffloadPolicy(),
            ignored_params=whole,
        )
        assert isinstance(block, FSDPModule)
        # The loss is divided once, by the tokens of the whole batch: gradients are to be added, not averaged.
        block.set_gradient_divide_factor(1.0)
        block.set_force_sum_reduction_for_comms(True)
