"""What would make a configuration fit a device, each change with its own prediction, the cheapest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.core.errors import BenchError
from bench.methods import methods
from bench.planning.devices import Device
from bench.planning.places import Place
from bench.planning.predict import Prediction, predict
from bench.planning.work import Work

MOST_GPUS = 64


def changes(work: Work, before: Prediction, on: Place) -> Iterator[tuple[str, float]]:
    """Yield what to change and the peak then (bytes), from what changes no result to what changes most."""
    settings = work.settings
    small = work.in_smallest_passes()
    tried = [
        ("passes of one example (gradient_accumulation_steps, eval_batch_size)", small),
        ("gradient_checkpointing: true, a pass more forward", replace(work, checkpointing=True)),
        ("both", replace(small, checkpointing=True)),
    ]
    if settings.optimizer != "adafactor" and before.step and before.step.bytes["optimizer"] > 0.1 * before.peak:
        tried.append(
            ("both, and optimizer: adafactor", replace(small.with_settings(optimizer="adafactor"), checkpointing=True))
        )
    if 2 * before.parameters.trainable > before.parameters.total:
        tried.append(("LoRA in place of all weights", replace(work, method=methods.build("lora", {}, "method lora"))))
    for words, changed in tried:
        try:
            counted = before.parameters if changed.method is work.method else None
            yield words, predict(changed, parameters=counted).peak
        except BenchError:  # a family that has no checkpointing, and the like
            continue
    if isinstance(on, Device):
        yield from _sharded(before, on)


def _sharded(before: Prediction, on: Device) -> Iterator[tuple[str, float]]:
    """Yield the fewest GPUs over which weights, gradients and optimizer state divide, activations being each one's own.

    One layer, which is gathered whole while it runs, is counted as one part in the model's layers.
    """
    traced = before.step or before.evaluation
    divided = sum(traced.bytes[kind] for kind in ("weights", "gradients", "optimizer"))
    layer = traced.bytes["weights"] / max(1, before.layers_of_model)
    for gpus in (2**n for n in range(1, MOST_GPUS.bit_length())):
        peak = traced.peak - divided + divided / gpus + layer
        if peak <= on.usable:
            yield f"engine: accelerate with FSDP on {gpus} devices", peak
            return
