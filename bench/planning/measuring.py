"""Measures this machine's processor: ``python -m bench.planning.measuring THREADS SECONDS`` prints what it found.

Steps and evaluation passes of networks with random weights, run by the code that trains, in turn until the time is up.
A process of its own, for `bench.planning.calibration` starts as many of them as there will be workers.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from bench.experiment.settings import Training
from bench.methods import methods
from bench.methods.attaching import attach
from bench.models.conversion import quiet
from bench.models.kinds import Kind
from bench.planning.data import assumed
from bench.planning.predict import predict
from bench.planning.trace import COSTS
from bench.planning.work import Work, batches_trained
from bench.training.costs import Flops
from bench.training.evaluation import Scorer
from bench.training.memory import LiveTensors
from bench.training.step import Stepper

LEAST_ROUNDS = 3


def _llama(hidden: int, feed_forward: int, layers: int, heads: int, vocabulary: int) -> dict[str, Any]:
    return {
        "model_type": "llama", "hidden_size": hidden, "intermediate_size": feed_forward, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": heads, "vocab_size": vocabulary,
    }  # fmt: skip


NETWORKS: dict[str, dict[str, Any]] = {
    "16 wide": _llama(16, 32, 6, 2, 512),
    "64 wide": _llama(64, 256, 6, 4, 1024),
    "256 wide": _llama(256, 1024, 4, 4, 8192),
    "768 wide": _llama(768, 2048, 3, 12, 16384),
    "encoder 384 wide": {
        "model_type": "bert", "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 3,
        "num_attention_heads": 12, "vocab_size": 8192,
    },
}  # fmt: skip
PROBES = (
    ("16 wide", "prompt_tuning", 16),
    ("16 wide", "lora", 16),
    ("64 wide", "prompt_tuning", 16),
    ("64 wide", "full_fine_tuning", 64),
    ("256 wide", "prompt_tuning", 64),
    ("256 wide", "full_fine_tuning", 16),
    ("768 wide", "prompt_tuning", 16),
    ("768 wide", "lora", 64),
    ("768 wide", "full_fine_tuning", 16),
    ("encoder 384 wide", "lora", 64),
    ("encoder 384 wide", "full_fine_tuning", 16),
)
"""Network, method, tokens of an input: from passes that only start operators to such that only multiply."""
BATCH = 8


class Probe:
    """A network with a method, whose step and evaluation are timed again and again; see `PROBES`."""

    def __init__(self, name: str, method: str, tokens: int) -> None:
        fields = NETWORKS[name]
        splits, tokenizer = assumed(fields, tokens, sizes=(2 * BATCH, 4 * BATCH, BATCH))
        settings = Training(batch_size=BATCH, max_steps=100, eval_batch_size=4 * BATCH)
        work = Work(name, fields, methods.build(method, {}, "method"), splits, tokenizer, settings, torch.float32)
        predicted = predict(work)
        assert predicted.step is not None
        self.traced = {"step": predicted.step, "evaluation": predicted.evaluation}
        self.seconds: dict[str, list[float]] = {"step": [], "evaluation": []}
        self.what = f"{name}, {method}, {BATCH} x {tokens} tokens"
        self.narrow = name == next(iter(NETWORKS))
        base = work.base()
        config = base.network.config
        with quiet():
            network = Kind.of(config).auto_class.from_config(config, dtype=torch.float32)
        base = replace(base, network=network.eval().requires_grad_(False))
        began = time.perf_counter()
        tuned = attach(work.method, base, splits, 0)
        Flops(tuned)
        self.attaching = time.perf_counter() - began
        """Seconds in which the method was put on the network, as a trial does it."""
        encoder = work.encoder(base)
        self._pairs, _ = batches_trained(work, encoder)
        self._stepper = Stepper(tuned, encoder, settings, torch.float32, settings.max_steps)
        self._scorer = Scorer(tuned, encoder, encoder.room(tuned.virtual_tokens, None), settings.eval_batch_size)
        self._examples = splits.validation[: predicted.evaluated]

    def step(self) -> None:
        """Take a training step."""
        self._stepper.tuned.train(True)
        self._stepper.take(self._pairs)

    def counted_step(self) -> None:
        """Take a training step with live tensors counted."""
        with LiveTensors(self._stepper.roots()):
            self.step()

    def evaluation(self) -> None:
        """Run the longest pass of an evaluation."""
        self._scorer.run(self._examples)


def measured(seconds: float) -> dict[str, Any]:
    """Time all passes in turn until the seconds are over, each a few times at least, and return what was seen."""
    probes = [Probe(*probe) for probe in PROBES]
    narrow, extra = [probe for probe in probes if probe.narrow], list[float]()
    for probe in probes:  # the first pass is slower, and is not counted
        probe.step()
        probe.evaluation()
    began, worked = time.perf_counter(), time.thread_time()
    rounds = 0
    while rounds < LEAST_ROUNDS or time.perf_counter() - began < seconds:
        for probe in probes:
            probe.seconds["step"].append(_timed(probe.step))
            probe.seconds["evaluation"].append(_timed(probe.evaluation))
        for probe in narrow:
            extra.append((_timed(probe.counted_step) - probe.seconds["step"][-1]) / probe.traced["step"].operators)
        rounds += 1
    return {
        "passes": [
            {
                "what": f"{probe.what}, {what}",
                "seconds": median(probe.seconds[what]),
                **{name: getattr(traced, name) for name in COSTS},
            }
            for probe in probes
            for what, traced in probe.traced.items()
        ],
        "attaching": median(probe.attaching / probe.traced["step"].operators for probe in narrow),
        "counting": max(0.0, median(extra)),
        "at_work": min(1.0, (time.thread_time() - worked) / (time.perf_counter() - began)),
    }


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> None:
    """Print what was measured, as one line of JSON."""
    torch.set_num_threads(int(sys.argv[1]))
    print(json.dumps(measured(float(sys.argv[2]))))


if __name__ == "__main__":
    main()
