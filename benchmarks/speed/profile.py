"""Where a step's time goes, and how much faster it could be: what explains a ratio."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import torch
from torch.profiler import ProfilerActivity
from torch.utils.flop_counter import FlopCounterMode
from transformers import DataCollatorForSeq2Seq

from benchmarks.speed.measure import WARM_UP
from benchmarks.speed.peers import rows
from benchmarks.speed.workload import Ours, Work

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"),
    "attention": ("aten::_scaled_dot_product",),
    "optimizer and clipping": ("aten::_fused_adamw", "aten::_foreach", "aten::linalg_vector_norm"),
    "copies, gathers and zeros": (
        "aten::copy_",
        "aten::cat",
        "aten::fill_",
        "aten::zero_",
        "aten::index",
        "aten::_index",
        "aten::scatter",
        "aten::gather",
        "aten::embedding",
    ),
}
"""Beginnings of the operators' names; what else torch runs is element by element (norms, activations, rotations)."""


def profile(work: Work, steps: int) -> dict[str, Any]:
    """Return the shares of a step's time by kind of operator, and the bound: their multiply-adds over ours.

    The shares are of the time that the steps took on the clock; `outside torch's operators` is Python and
    whatever waited. The bound counts the products of both sides on the first batch (torch's own counter,
    forward and backward), as if both ran at the machine's peak and did nothing else.
    """
    ours = Ours(work)
    try:
        network = ours.peer_network()
        batches = ours.batches(steps + WARM_UP)
        for pairs in batches[:WARM_UP]:
            ours.step(pairs)
        with FlopCounterMode(display=False) as mine:
            ours.step(batches[0])
        batch = DataCollatorForSeq2Seq(ours.base.tokenizer)(rows(batches[0]))
        with FlopCounterMode(display=False) as theirs:
            network(**batch).loss.backward()
        with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
            began = time.perf_counter()
            for pairs in batches[WARM_UP:]:
                ours.step(pairs)
            seconds = time.perf_counter() - began
    finally:
        ours.close()
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        spent[_kind(event.key)] += event.self_cpu_time_total / 1e6
    spent["outside torch's operators"] = max(0.0, seconds - sum(spent.values()))
    return {
        "shares": {kind: round(value / seconds, 4) for kind, value in spent.most_common()},
        "seconds": seconds / steps,
        "flops_ours": mine.get_total_flops(),
        "flops_theirs": theirs.get_total_flops(),
        "bound": theirs.get_total_flops() / mine.get_total_flops(),
    }


def _kind(name: str) -> str:
    for kind, beginnings in KINDS.items():
        if name.startswith(beginnings):
            return kind
    return "element by element" if name.startswith("aten::") else "outside torch's operators"
