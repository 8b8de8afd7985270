"""Which device and which precision a trial runs in."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path

import torch

from bench.core.errors import BadInput


def resolve_device(name: str) -> torch.device:
    """Return the device for ``auto`` (CUDA, then MPS, then CPU) or for an explicit name.

    Raises:
        BadInput: the device asked for is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available[name]:
        there = ", ".join(kind for kind, yes in available.items() if yes)
        raise BadInput(f"runtime.device: no {name} device on this machine; there is: {there}")
    return torch.device(name)


def resolve_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the frozen weights: ``auto`` is bfloat16 where CUDA has it, float32 elsewhere."""
    if precision == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Compute in ``dtype`` while trained weights stay in float32; nothing to do in float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor with the instruction set that torch uses of it.

    Clouds give processors of several generations one name; the order of float32's sums goes with the instruction set.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):  # Linux alone has it, and nothing else there names the processor
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"
