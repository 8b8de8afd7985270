"""Where a step's time goes, and how much faster it could be: what explains a ratio."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from typing import Any

import torch
from torch.profiler import ProfilerActivity
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.measure import WARM_UP, peak
from benchmarks.speed.peers import collated
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

HEAD = "products of the head"


def profile(work: Work, steps: int) -> dict[str, Any]:
    """Return the shares of a step's time by kind of operator, and the bound: their multiply-adds over ours.

    The shares are of the time that the steps took on the clock; `outside torch's operators` is Python and
    whatever waited. The rate is that of all products but the head's, as a share of a large square product's, taken
    turn by turn with the steps. The bound counts the products of both sides on the first batch (torch's own counter,
    forward and backward), as if both ran at the machine's peak and did nothing else.
    """
    with Ours(work) as ours:
        network = ours.peer_network()
        batches = ours.batches(steps + WARM_UP)
        for pairs in batches[:WARM_UP]:
            ours.step(pairs)
        with FlopCounterMode(display=False) as mine:
            ours.step(batches[0])
        batch = collated(ours.base.tokenizer, batches[0])
        with FlopCounterMode(display=False) as theirs:
            network(**batch).loss.backward()
        words = ours.base.network.get_output_embeddings().weight.shape[0]
        spent: defaultdict[str, float] = defaultdict(float)
        seconds, flops, products, peaks = 0.0, 0.0, 0.0, []
        for pairs in batches[WARM_UP:]:
            with torch.profiler.profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
                began = time.perf_counter()
                ours.step(pairs)
                seconds += time.perf_counter() - began
            for event in profiler.events():
                kind, took = _kind(event.name), event.self_cpu_time_total / 1e6
                if event.name == "aten::mm":
                    (length, inner), (_, width) = event.input_shapes[:2]
                    if words in (length, inner, width):
                        kind = HEAD
                    else:
                        flops += 2.0 * length * inner * width
                        products += took
                spent[kind] += took
            peaks.append(peak())
    spent["outside torch's operators"] = max(0.0, seconds - sum(spent.values()))
    return {
        "products_of_peak": flops / products / statistics.median(peaks),
        "shares": {
            kind: round(value / seconds, 4) for kind, value in sorted(spent.items(), key=lambda entry: -entry[1])
        },
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
