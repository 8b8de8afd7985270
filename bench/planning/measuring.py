"""Measures this machine's processor: ``python -m bench.planning.measuring THREADS SECONDS`` prints what it found.

Steps and evaluation passes of networks with random weights, run by the code that trains, in turn until the time is up.
A process of its own, for `bench.planning.calibration` starts as many of them as there will be workers.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
from bench.planning.trace import Traced
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


@dataclass
class Probe:
    """A pass that is timed again and again."""

    what: str
    traced: Traced
    run: Callable[[], object]
    seconds: list[float] = field(default_factory=list)


@dataclass
class Probes:
    """All passes of a machine, and what was seen while they were made ready."""

    passes: list[Probe] = field(default_factory=list)
    attaching: list[float] = field(default_factory=list)
    """Seconds an operator of putting a method on the narrowest network, as a trial does."""
    counting: list[tuple[Probe, Callable[[], object]]] = field(default_factory=list)
    """Steps that are run with live tensors counted, too."""


def prepared() -> Probes:
    """Build all networks, and trace what is going to be timed."""
    found = Probes()
    for name, method, tokens in PROBES:
        fields = NETWORKS[name]
        splits, tokenizer = assumed(fields, tokens, sizes=(2 * BATCH, 4 * BATCH, BATCH))
        settings = Training(batch_size=BATCH, max_steps=100, eval_batch_size=4 * BATCH)
        work = Work(name, fields, methods.build(method, {}, "method"), splits, tokenizer, settings, torch.float32)
        predicted = predict(work, beside=False)
        base = work.base()
        config = base.network.config
        with quiet():
            network = Kind.of(config).auto_class.from_config(config, dtype=torch.float32)
        base = replace(base, network=network.eval().requires_grad_(False))
        assert predicted.step is not None
        began = time.perf_counter()
        tuned = attach(work.method, base, splits, 0)
        Flops(tuned)
        narrow = name == next(iter(NETWORKS))
        if narrow:
            found.attaching.append((time.perf_counter() - began) / predicted.step.operators)
        encoder = work.encoder(base)
        trained = batches_trained(work, encoder).largest
        room = encoder.room(tuned.virtual_tokens, None)
        scorer = Scorer(tuned, encoder, room, settings.eval_batch_size)
        examples = splits.validation[: predicted.evaluated]
        stepper = Stepper(tuned, encoder, settings, torch.float32, settings.max_steps)

        def step(stepper: Stepper = stepper, pairs: Any = trained) -> None:
            stepper.tuned.train(True)
            stepper.take(pairs)

        def evaluation(scorer: Scorer = scorer, examples: Any = examples) -> None:
            scorer.run(examples)

        def counted(stepper: Stepper = stepper, step: Callable[[], None] = step) -> None:
            with LiveTensors(stepper.roots()):
                step()

        what = f"{name}, {method}, {BATCH} x {tokens} tokens"
        found.passes.append(Probe(f"{what}, step", predicted.step, step))
        if narrow:
            found.counting.append((found.passes[-1], counted))
        found.passes.append(Probe(f"{what}, evaluation", predicted.evaluation, evaluation))
    return found


def measured(probes: Probes, seconds: float) -> dict[str, Any]:
    """Time all passes in turn until the seconds are over, each a few times at least, and return what was seen."""
    extra: list[float] = []
    for probe in probes.passes:  # the first one is slower, and is not counted
        probe.run()
    began, worked = time.perf_counter(), time.thread_time()
    rounds = 0
    while rounds < LEAST_ROUNDS or time.perf_counter() - began < seconds:
        for probe in probes.passes:
            probe.seconds.append(_timed(probe.run))
        for probe, counted in probes.counting:
            extra.append((_timed(counted) - probe.seconds[-1]) / probe.traced.operators)
        rounds += 1
    return {
        "passes": list(_rows(probes)),
        "attaching": median(probes.attaching),
        "counting": max(0.0, median(extra)),
        "at_work": min(1.0, (time.thread_time() - worked) / (time.perf_counter() - began)),
    }


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _rows(probes: Probes) -> Iterator[dict[str, Any]]:
    for probe in probes.passes:
        traced = probe.traced
        yield {
            "what": probe.what,
            "seconds": median(probe.seconds),
            "flops": traced.flops,
            "product_bytes": traced.product_bytes,
            "other_bytes": traced.other_bytes,
            "operators": traced.operators,
        }


def main() -> None:
    """Print what was measured, as one line of JSON."""
    torch.set_num_threads(int(sys.argv[1]))
    print(json.dumps(measured(prepared(), float(sys.argv[2]))))


if __name__ == "__main__":
    main()
