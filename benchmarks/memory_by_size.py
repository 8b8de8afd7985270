"""Predicted memory of a training step against the size of the model: the figure and the table of docs/planning.md.

Nothing here is measured: no weights, no GPU (`bench.planning.predict`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.experiment.settings import Training
from bench.methods import methods
from bench.planning.configurations import published
from bench.planning.data import assumed
from bench.planning.devices import DEVICES
from bench.planning.predict import predict
from bench.planning.work import Work

FAMILIES = {
    "T5 v1.1": [f"t5-v1.1-{size}" for size in ("small", "base", "large", "xl", "xxl")],
    "BLOOMZ": [f"bloomz-{size}" for size in ("560m", "1b1", "1b7", "3b", "7b1")],
}
METHODS = {"full fine-tuning": "full_fine_tuning", "LoRA": "lora", "prompt tuning": "prompt_tuning"}
BATCH, TOKENS = 16, 64


def peak(model: str, method: str) -> float:
    """Return the bytes of live tensors at the highest moment of a step in bfloat16."""
    kind = methods.get(method)
    fields = published()[model].config
    splits, tokenizer = assumed(fields, TOKENS, sizes=(2 * BATCH, BATCH, BATCH))
    settings = Training.parse({**kind.training_defaults, "batch_size": BATCH, "eval_batch_size": BATCH}, method)
    built = methods.build(method, {}, method)
    found = predict(Work(model, fields, built, splits, tokenizer, settings, torch.bfloat16))
    assert found.step is not None
    return found.step.peak


def draw(sizes: dict[str, list[float]], peaks: dict[tuple[str, str], list[float]], out: Path) -> None:
    """Draw a panel a family, a line a method."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True)
    for panel, (family, parameters) in zip(panels, sizes.items(), strict=True):
        for label in METHODS:
            panel.loglog(parameters, [value / 1e9 for value in peaks[family, label]], marker="o", label=label)
        for key in ("rtx4090", "h100"):
            device = DEVICES[key]
            panel.axhline(device.memory / 1e9, color="grey", linewidth=0.8, linestyle=":")
            panel.text(parameters[0], device.memory / 1e9, f" {device.title}", fontsize=8, va="bottom", color="grey")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set(title=family, xlabel="parameters of the model")
    panels[0].set_ylabel("live tensors at the peak, GB")
    panels[0].legend(frameon=False)
    figure.suptitle(f"Predicted, not measured: a training step in bfloat16, {BATCH} inputs of {TOKENS} tokens")
    figure.savefig(out, dpi=160)


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=Path("docs/assets/memory_by_size.png"))
    out = parser.parse_args().out
    print(f"| model | {' | '.join(METHODS)} |\n|---|{'---|' * len(METHODS)}", flush=True)
    sizes, peaks = dict[str, list[float]](), dict[tuple[str, str], list[float]]()
    for family, names in FAMILIES.items():
        sizes[family] = [published()[name].parameters for name in names]
        for name in names:
            row = [peak(name, method) for method in METHODS.values()]
            for label, value in zip(METHODS, row, strict=True):
                peaks.setdefault((family, label), []).append(value)
            print(f"| {name} | {' | '.join(f'{value / 1e9:.1f} GB' for value in row)} |", flush=True)
    draw(sizes, peaks, out)


if __name__ == "__main__":
    main()
