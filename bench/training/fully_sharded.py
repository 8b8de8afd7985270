"""The base model sharded by PyTorch's ``fully_shard`` (FSDP2).

Each process holds its part of each block and gathers a block for the moment in which it runs, so any forward path
works as it is. What a method has added is small and stands whole in every process; its gradients are summed. Base
weights that are trained (full fine-tuning) are sharded with their gradients and optimizer states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from bench.methods.base import TunedModel
from bench.runs.record import Status
from bench.training.distributed import Shared, SharedStepper, Together, local, same_everywhere, summed
from bench.training.encoding import Encoder


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


class ShardedModel(Shared):
    """A model of whose parameters some are sharded."""

    def _write(self, folder: Path) -> None:
        with self._gathered(any(isinstance(p, DTensor) for p in self._tuned.trainable().values())):
            super()._write(folder)

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


class ShardedStepper(SharedStepper):
    """Steps over parameters of which some are sharded."""

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


class FullySharded(Together):
    """This process as one of several among which the blocks of the base model are sharded.

    Args:
        tell: see `Together`.
        reshard_after_forward: let go of a block's gathered weights after its forward pass, and gather them again for
            the backward pass.
        cpu_offload: keep the shards in the memory of the host.
    """

    stepper = ShardedStepper
    how = "blocks of the base model sharded (FSDP)"

    def __init__(self, tell: Callable[[Status, str], None], reshard_after_forward: bool, cpu_offload: bool) -> None:
        super().__init__(tell)
        self._reshard, self._offload = reshard_after_forward, cpu_offload

    def loads_on(self, device: torch.device) -> torch.device:
        """Return the host: a model that is to be sharded need not fit on one device."""
        return torch.device("cpu")

    def _spread(self, tuned: TunedModel, base: set[Parameter], encoder: Encoder) -> tuple[Shared, int]:
        if torch.cuda.is_available():  # the model was loaded on the host
            encoder.device = torch.device("cuda", torch.cuda.current_device())
        for block in blocks_of(tuned.network):
            self._shard(block, base)
        for tensor in [*tuned.network.parameters(), *tuned.network.buffers(), *tuned.trainable().values()]:
            if not isinstance(tensor, DTensor):
                tensor.data = tensor.data.to(encoder.device)
        same_everywhere(tuned)
        whole = sum(p.numel() for p in tuned.network.parameters() if not isinstance(p, DTensor))
        return ShardedModel(tuned), whole

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
