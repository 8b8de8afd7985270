"""The base model sharded by PyTorch's ``fully_shard`` (FSDP2).

Each process holds its part of each block and gathers a block for the moment in which it runs, so any forward path
works as it is. What a method has added is small and stands whole in every process; its gradients are summed. Base
weights that are trained (full fine-tuning) are sharded with their gradients and optimizer states.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn import Parameter

from bench.methods.base import TunedModel
from bench.runs.record import Status
from bench.training.distributed import DistributedModel, DistributedRanks, same_everywhere
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


class FullySharded(DistributedRanks):
    """This process as one of several among which the blocks of the base model are sharded.

    Args:
        tell: see `DistributedRanks`.
        reshard_after_forward: let go of a block's gathered weights after its forward pass, and gather them again for
            the backward pass.
        cpu_offload: keep the shards in the memory of the host.
    """

    how = "blocks of the base model sharded (FSDP)"

    def __init__(self, tell: Callable[[Status, str], None], reshard_after_forward: bool, cpu_offload: bool) -> None:
        super().__init__(tell)
        self._reshard, self._offload = reshard_after_forward, cpu_offload

    def loads_on(self, device: torch.device) -> torch.device:
        """Return the host: a model that is to be sharded need not fit on one device."""
        return torch.device("cpu")

    def _spread(self, tuned: TunedModel, base: set[Parameter], encoder: Encoder) -> tuple[DistributedModel, int]:
        if torch.cuda.is_available():  # the model was loaded on the host
            encoder.device = torch.device("cuda", torch.cuda.current_device())
        for block in blocks_of(tuned.network):
            self._shard(block, base)
        for tensor in [*tuned.network.parameters(), *tuned.network.buffers(), *tuned.trainable().values()]:
            if not isinstance(tensor, DTensor):
                tensor.data = tensor.data.to(encoder.device)
        same_everywhere(tuned)
        whole = sum(p.numel() for p in tuned.network.parameters() if not isinstance(p, DTensor))
        return DistributedModel(tuned), whole

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
