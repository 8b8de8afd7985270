"""Accelerators by their makers' data sheets, and the seconds that traced passes take on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.core.errors import BadInput, did_you_mean
from bench.planning.trace import Traced

PRODUCTS, BANDWIDTH, OPERATOR = 0.4, 0.7, 1e-5
"""Assumptions, not measured here: the shares of the peak rate of products and of bandwidth that a step reaches, and the
seconds that it takes to start an operator."""
RESERVED = 1.5 * 2**30
"""Bytes assumed for what is no tensor: the context of CUDA, workspaces of kernels, what the allocator cannot use."""


@dataclass(frozen=True)
class Device:
    """An accelerator."""

    title: str
    memory: float
    """Bytes."""
    bandwidth: float
    """Bytes a second."""
    bfloat16: float | None
    """Dense products with sums in float32, FLOPs a second; None where it has no bfloat16."""
    float32: float
    source: str

    @property
    def usable(self) -> float:
        """Bytes for tensors."""
        return self.memory - RESERVED

    def seconds(self, traced: Traced, dtype: torch.dtype) -> float:
        """Return the seconds of a pass: the work, or the starting of its operators if that takes longer."""
        rate = PRODUCTS * ((self.bfloat16 or self.float32) if dtype == torch.bfloat16 else self.float32)
        moving = BANDWIDTH * self.bandwidth
        products = max(traced.flops / rate, traced.product_bytes / moving)
        return max(products + traced.other_bytes / moving, traced.operators * OPERATOR)

    start = 0.0
    """Seconds of a run around its trials: start, first scores, report; not known."""

    def besides(self, step: Traced | None, evaluation: Traced) -> float:
        """Return the seconds of a run besides its passes: not known."""
        return 0.0


DEVICES = {
    "h100": Device("H100 SXM", 80e9, 3.35e12, 989e12, 67e12, "NVIDIA H100 data sheet"),
    "a100": Device("A100 80GB SXM", 80e9, 2.039e12, 312e12, 19.5e12, "NVIDIA A100 data sheet"),
    "l40s": Device("L40S", 48e9, 864e9, 362e12, 91.6e12, "NVIDIA L40S data sheet"),
    "t4": Device("T4", 16e9, 320e9, None, 8.1e12, "NVIDIA T4 data sheet"),
    "rtx4090": Device("RTX 4090", 24e9, 1.008e12, 165e12, 82.6e12, "NVIDIA Ada architecture whitepaper"),
}


def device(name: str) -> Device:
    """Return a device by its name.

    Raises:
        BadInput: it is not in the table.
    """
    key = name.lower().replace(" ", "").replace("-", "")
    if key not in DEVICES:
        raise BadInput(f"--device: unknown device '{name}'{did_you_mean(key, DEVICES)}")
    return DEVICES[key]
