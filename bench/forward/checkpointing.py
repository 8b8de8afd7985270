"""Gradient checkpointing: activations of a layer are computed again in the backward pass instead of kept.

The result is the same in less memory, for one more forward pass a step (Chen et al., 2016, "Training Deep Nets with
Sublinear Memory Cost"): a third more work where all weights are trained, half as much again where they are frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

from bench.core.errors import Infeasible


@contextmanager
def checkpointed(network: PreTrainedModel) -> Iterator[None]:
    """Checkpoint every layer of a network while it trains.

    Raises:
        Infeasible: the network's family cannot.
    """
    if not network.supports_gradient_checkpointing:
        raise Infeasible(f"runtime.gradient_checkpointing: {type(network).__name__} has no layers that can")
    # transformers 5.23 renamed the pair.
    renamed = hasattr(network, "activation_checkpointing_enable")
    name = "activation" if renamed else "gradient"
    getattr(network, f"{name}_checkpointing_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(network, f"{name}_checkpointing_disable")()
        # Enabling lets gradients reach the embedding's output; disabling leaves it so, and every later trial on this
        # network would compute them for nothing.
        if hasattr(network, "_require_grads_hook"):
            network.disable_input_require_grads()


def is_checkpointed(network: PreTrainedModel) -> bool:
    """Whether layers of a network compute their activations again while it trains."""
    return any(getattr(module, "gradient_checkpointing", False) for module in network.modules())
