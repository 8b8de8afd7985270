"""What a step takes, traced: the code that trains, on fake tensors, under the counters that measure real steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop, sdpa_flop

from bench.methods.base import TunedModel
from bench.planning.weightless import ReadsAsZero
from bench.training.answers import Pair
from bench.training.device import autocast
from bench.training.encoding import Encoder
from bench.training.memory import LiveTensors
from bench.training.step import Stepper

COSTS = ("flops", "product_bytes", "other_bytes", "operators")
"""What of a traced pass takes time, by the names of `Traced`."""
KINDS = ("weights", "gradients", "optimizer", "logits", "activations")
SEGMENTS = ("forward", "backward, first half", "backward, second half", "update")
"""In each of them memory only rises or only falls from layer to layer, so its peak is linear in the layers."""
FLOPS: Mapping[Any, Callable[..., int]] = {
    **flop_registry,
    # Attention on a CPU, which torch leaves out; that of GPUs it knows.
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_backward_flop,
}
"""FLOPs by operator, as `torch.utils.flop_counter.FlopCounterMode` counts them; that mode itself, by the hooks that it
sets, holds tensors longer than a step does."""


@dataclass(frozen=True)
class Traced:
    """What one pass takes."""

    segments: Mapping[str, Mapping[str, float]]
    """Live bytes by kind at the peak of each segment."""
    flops: float
    operators: float
    """How many were dispatched."""
    product_bytes: float
    """Bytes that operators with FLOPs read and wrote."""
    other_bytes: float
    """Bytes that all others did, views left out."""

    @property
    def bytes(self) -> Mapping[str, float]:
        """Live bytes by kind at the highest moment."""
        return max(self.segments.values(), key=lambda kinds: sum(kinds.values()))

    @property
    def peak(self) -> float:
        """Live bytes at the highest moment."""
        return sum(self.bytes.values())

    def extended(self, longer: Traced, factor: float) -> Traced:
        """Return this + factor x (longer - this): linear in the layers by which the two differ."""
        segments = {
            name: {kind: value + factor * (longer.segments[name][kind] - value) for kind, value in kinds.items()}
            for name, kinds in self.segments.items()
        }
        sums = {name: getattr(self, name) + factor * (getattr(longer, name) - getattr(self, name)) for name in COSTS}
        return Traced(segments, **sums)

    def part(self, share: float) -> Traced:
        """Return a pass of a share of its tokens, for its time: it starts as many operators. Its memory is not told."""
        return replace(
            self,
            flops=share * self.flops,
            product_bytes=share * self.product_bytes,
            other_bytes=share * self.other_bytes,
        )


class Timeline(LiveTensors):
    """Counts FLOPs, and remembers what lived when, so that it can be said afterwards what it was.

    Args:
        weights: tensors that are alive before it begins.
        state: the optimizer's, which are alive then, too.
        vocabulary: the last dimension by which logits are known; None if there are none.
    """

    def __init__(
        self, weights: Iterable[torch.Tensor], state: Iterable[torch.Tensor] = (), vocabulary: int | None = None
    ) -> None:
        self._kinds: list[int] = []
        self._events: list[tuple[int, int, int]] = []
        self._serials: dict[int, int] = {}
        self._vocabulary = vocabulary
        self.flops = self.operators = self.product_bytes = self.other_bytes = 0
        self._adding = KINDS.index("weights")
        super().__init__(weights)
        self._adding = KINDS.index("optimizer")
        for tensor in state:
            self._add(tensor)
        self._adding = KINDS.index("activations")

    def mark_gradient(self, parameter: torch.Tensor) -> None:
        """Take note that a parameter's gradient is one."""
        if parameter.grad is not None:
            serial = self._serials[parameter.grad.untyped_storage()._cdata]
            self._kinds[serial] = KINDS.index("gradients")

    def traced(self) -> Traced:
        """Return what was counted."""
        events = np.array(self._events, dtype=np.int64).reshape(-1, 3)
        kinds = np.array(self._kinds, dtype=np.int64)[events[:, 1]]
        live = np.stack([np.where(kinds == kind, events[:, 2], 0).cumsum() for kind in range(len(KINDS))])
        total, where = live.sum(0), events[:, 0].copy()
        (backward,) = np.nonzero(where == 1)
        where[where == 2] = 3
        where[backward[len(backward) // 2 :]] = 2
        found = {}
        for number, name in enumerate(SEGMENTS):
            (inside,) = np.nonzero(where == number)
            at = inside[total[inside].argmax()] if len(inside) else 0
            found[name] = {kind: float(live[index, at]) for index, kind in enumerate(KINDS)}
        return Traced(found, self.flops, self.operators, self.product_bytes, self.other_bytes)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        self.operators += 1
        if func.is_view:
            return result
        moved = sum(leaf.nbytes for leaf in tree_leaves((args, result)) if isinstance(leaf, torch.Tensor))
        if (formula := FLOPS.get(func.overloadpacket)) is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
            self.product_bytes += moved
        else:
            self.other_bytes += moved
        return result

    def _add(self, tensor: torch.Tensor) -> None:
        key = tensor.untyped_storage()._cdata
        if key in self._live:
            return
        kind = self._adding
        if kind == KINDS.index("activations") and tensor.dim() > 1 and tensor.shape[-1] == self._vocabulary:
            kind = KINDS.index("logits")
        super()._add(tensor)
        self._serials[key] = len(self._kinds)
        self._kinds.append(kind)
        self._events.append((_segment(), self._serials[key], self._live[key]))

    def _remove(self, key: int) -> None:
        if key in self._live:
            self._events.append((_segment(), self._serials.pop(key), -self._live[key]))
        super()._remove(key)


def _segment() -> int:
    """0 in the forward pass, 1 in the backward pass, 2 in what follows it."""
    if torch._C._current_autograd_node() is not None:
        return 1
    return 0 if torch.is_grad_enabled() else 2


def trace_training(stepper: Stepper, pairs: Sequence[Pair]) -> Traced:
    """Trace an optimizer step of a fake model that is not the first: the optimizer has its state."""
    stepper.tuned.train(True)
    with ReadsAsZero():
        for parameter in stepper.parameters:
            parameter.grad = torch.zeros_like(parameter)
        stepper.optimizer.step()
        stepper.optimizer.zero_grad(set_to_none=True)
        held = [value for state in stepper.optimizer.state.values() for value in state.values()]
        state = {id(value): value for value in held if isinstance(value, torch.Tensor)}
        weights = [tensor for tensor in stepper.roots() if id(tensor) not in state]
        timeline = Timeline(weights, state.values(), _vocabulary(stepper.tuned))
        del held, weights
        handles = [p.register_post_accumulate_grad_hook(timeline.mark_gradient) for p in stepper.parameters]
        with timeline:
            stepper.take(pairs)
    for handle in handles:
        handle.remove()
    return timeline.traced()


def trace_evaluation(tuned: TunedModel, encoder: Encoder, pairs: Sequence[Pair]) -> Traced:
    """Trace one forward pass of an evaluation."""
    tuned.train(False)
    network = tuned.network
    roots = [*network.parameters(), *network.buffers(), *tuned.trainable().values()]
    with ReadsAsZero(), torch.no_grad(), autocast(encoder.device, network.dtype), tuned.evaluating():
        timeline = Timeline(roots, (), _vocabulary(tuned))
        with timeline:
            tuned.logits(encoder.batch(pairs))
    return timeline.traced()


def _vocabulary(tuned: TunedModel) -> int | None:
    head = tuned.network.get_output_embeddings()
    return None if head is None else int(head.weight.shape[0])
