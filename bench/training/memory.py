"""Honest memory figures: each says what it is, and each phase has a peak of its own."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.runs.record import PhaseMemory

SAMPLE_SECONDS = 0.02


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of live tensor storages while it is active, on any device.

    Args:
        roots: tensors that are alive before it begins (weights, gradients, optimizer state).
    """

    def __init__(self, roots: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._live: dict[int, int] = {}
        self._current = 0
        self.peak = 0
        """Bytes, at the highest moment."""
        for tensor in roots:
            self._add(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # Nearly all results are one tensor; flattening a tree costs more than most operators on a small model.
        for leaf in (result,) if isinstance(result, torch.Tensor) else tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf)
        return result

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._live:
            return
        size = storage.nbytes()
        self._live[key] = size
        self._current += size
        self.peak = max(self.peak, self._current)
        # Views share a storage; it is gone when the last of them is.
        weakref.finalize(storage, self._remove, key).atexit = False

    def _remove(self, key: int) -> None:
        self._current -= self._live.pop(key, 0)


class Meters:
    """Seconds and peak memory by phase.

    Phases may be entered many times and may be nested (a validation inside training): time and
    peaks always belong to the innermost one. Peaks are reset whenever the phase changes. The time in
    which live tensors are counted is in ``seconds["measure"]``, not in the phase's.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._memory: dict[str, dict[str, int]] = {}
        self._stack: list[str] = []
        self._since = 0.0
        self._counting = False
        self._process = psutil.Process()
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Meters:
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._sampler.join()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Attribute time and memory to ``name``."""
        self._switch()
        self._stack.append(name)
        try:
            yield
        finally:
            self._switch()
            self._stack.pop()

    @contextmanager
    def live_tensors(self, roots: Iterable[torch.Tensor]) -> Iterator[None]:
        """Count live tensor bytes for the current phase (see `LiveTensors`); what runs meanwhile runs slower."""
        self._switch()
        self._counting = True
        try:
            with LiveTensors(roots) as live:
                yield
        finally:
            self._switch()
            self._counting = False
        self._peak("live_tensor_peak_bytes", live.peak)

    def memory(self) -> dict[str, PhaseMemory]:
        """Return the peaks by phase."""
        return {name: PhaseMemory(**peaks) for name, peaks in self._memory.items()}

    def _switch(self) -> None:
        """Close the account of the current phase and begin anew."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        if self._stack:
            name = "measure" if self._counting else self._stack[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
            self._peak("resident_peak_bytes", self._process.memory_info().rss)
            if self._device.type == "cuda":
                self._peak("cuda_allocated_peak_bytes", torch.cuda.max_memory_allocated(self._device))
                self._peak("cuda_reserved_peak_bytes", torch.cuda.max_memory_reserved(self._device))
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        self._since = now

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self._peak("resident_peak_bytes", self._process.memory_info().rss)

    def _peak(self, key: str, value: int) -> None:
        stack = self._stack[-1:]
        if stack:
            peaks = self._memory.setdefault(stack[0], {})
            peaks[key] = max(peaks.get(key, 0), value)
