"""Predicted against measured: live tensor bytes and FLOPs of an optimizer step, and the table of docs/planning.md.

Both sides run one step of the same batch; the prediction has no weights. FLOPs are held against torch's own counter.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import nullcontext
from itertools import product
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.core.errors import Infeasible
from bench.datasets.splits import Splits
from bench.experiment.settings import Training
from bench.forward.checkpointing import checkpointed
from bench.methods import methods
from bench.methods.attaching import attach
from bench.models import models
from bench.models.language_model import LanguageModel
from bench.planning.data import assumed
from bench.planning.predict import predict
from bench.planning.trace import FLOPS
from bench.planning.work import Work, batches_trained
from bench.testing.tiny import ENCODERS, FAMILIES, tiny_model
from bench.training.encoding import Encoder
from bench.training.memory import LiveTensors
from bench.training.step import Stepper

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "prompt tuning": ("prompt_tuning", {}),
    "P-tuning": ("p_tuning", {}),
    "prefix tuning": ("prefix_tuning", {}),
    "LoRA": ("lora", {}),
    "DoRA": ("lora", {"dora": True}),
    "AdaLoRA": ("adalora", {}),
    "VeRA": ("vera", {}),
    "(IA)^3": ("ia3", {}),
    "BitFit": ("bitfit", {}),
    "LayerNorm tuning": ("layernorm", {}),
    "full fine-tuning": ("full_fine_tuning", {}),
}


def real(name: str) -> tuple[LanguageModel, Mapping[str, Any]]:
    """Return a model with its weights, and its configuration."""
    tiny = name in (*FAMILIES, *ENCODERS)
    base = tiny_model(name) if tiny else models.build(name, {}, name).load(torch.device("cpu"), torch.float32)
    return base, base.network.config.to_dict()


def measured(base: LanguageModel, work: Work) -> tuple[int, int]:
    """Run steps with real weights: live tensor bytes at the peak of the second, and FLOPs."""
    tokenizer, base.tokenizer = base.tokenizer, work.tokenizer
    tuned = attach(work.method, base, work.splits, work.seed)
    try:
        encoder = Encoder(base, work.splits.template, work.splits.labels)
        pairs, _ = batches_trained(work, encoder)
        with checkpointed(base.network) if work.checkpointing else nullcontext():
            stepper = Stepper(tuned, encoder, work.settings, work.dtype, work.settings.max_steps)
            tuned.train(True)
            stepper.take(pairs)
            with LiveTensors(stepper.roots()) as live:
                stepper.take(pairs)
            with FlopCounterMode(display=False, custom_mapping=_cpu_attention()) as counter:
                stepper.take(pairs)
    finally:
        tuned.detach()
        base.tokenizer = tokenizer
    return live.peak, counter.get_total_flops()


def _cpu_attention() -> dict[Any, Any]:
    def raw(formula: Any) -> Any:
        def called(*args: Any, **kwargs: Any) -> Any:
            return formula(*args, **kwargs)

        called._get_raw = True  # type: ignore[attr-defined]
        return called

    return {operator: raw(formula) for operator, formula in FLOPS.items() if "for_cpu" in str(operator)}


def mixed(fields: Mapping[str, Any], tokens: int) -> tuple[Splits, Any]:
    """Return data of two lengths: half of the texts have so many tokens, half two thirds of that."""
    long, tokenizer = assumed(fields, tokens, sizes=(32, 8, 8))
    short, _ = assumed(fields, 2 * tokens // 3, sizes=(32, 8, 8))
    rows = tuple(row for pair in zip(long.train, short.train, strict=True) for row in pair)[:32]
    return Splits(rows, long.validation, long.test, long.labels, "assumed", 0), tokenizer


def main() -> None:
    """Print a row for every method and setting, then the largest errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="packaged models, or tiny families such as t5 and bert")
    parser.add_argument("--batch", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--tokens", type=int, nargs="+", default=[24, 48])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | method | batch | tokens | checkpointing | measured, bytes | predicted | error | FLOPs | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in asked.models:
        base, fields = real(name)
        for label, (method, options) in METHODS.items():
            for batch, tokens, checkpointing in product(asked.batch, asked.tokens, (False, True)):
                splits, tokenizer = mixed(fields, tokens)
                settings = Training(batch_size=batch, max_steps=100)
                built = methods.build(method, options, label)
                work = Work(name, fields, built, splits, tokenizer, settings, torch.float32, checkpointing)
                began = time.perf_counter()
                try:
                    found = predict(work)
                    seconds = time.perf_counter() - began
                    peak, flops = measured(base, work)
                except Infeasible as error:
                    print(f"| {name} | {label} | infeasible: {str(error)[:60]} |", flush=True)
                    continue
                assert found.step is not None
                print(
                    f"| {name} | {label} | {batch} | {tokens} | {'yes' if checkpointing else 'no'} | {peak:,} "
                    f"| {found.step.peak:,.0f} | {found.step.peak / peak - 1:+.3%} "
                    f"| {found.step.flops / flops - 1:+.3%} | {seconds:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
