"""Makes an outside package: a module and the metadata by which it is found."""

from __future__ import annotations

from pathlib import Path

SHIFT = '''
from typing import ClassVar

from bench.methods.base import Method, TunedModel
from bench.core.distributions import Float


class Shift(Method):
    """Trains one bias on the logits of the vocabulary."""

    title: ClassVar[str] = "Shift"
    start: float = 0.0
    """Where the bias begins."""

    def search_space(self):
        return {"learning_rate": Float(low=1e-2, high=1.0, log=True)}

    def attach(self, base, dataset, seed):
        return Shifted(base, self.start)


class Shifted(TunedModel):
    def __init__(self, base, start):
        import torch

        super().__init__(base)
        size = base.network.get_output_embeddings().weight.shape[0]
        self.bias = torch.nn.Parameter(torch.full((size,), start))

    def trainable(self):
        return {"bias": self.bias}

    def logits(self, batch):
        return super().logits(batch) + self.bias
'''
"""A whole method, of lines that need no other file."""


def write_plugin(folder: Path, points: dict[str, dict[str, str]], name: str = "outside", **modules: str) -> Path:
    """Write a distribution: ``points`` are group to name to target, ``modules`` name to source."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in points.items():
        lines += [f"[{group}]", *(f"{key} = {target}" for key, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    return folder


ACT = '''
import os
import signal
import time
from pathlib import Path
from typing import Literal

from bench.methods.majority import LabelFrequencies, Majority


class Act(Majority):
    """Does to its process what a test asks for, and then guesses the majority class."""

    do: Literal["nothing", "die", "wait"] = "nothing"
    sign: Path = Path("sign")
    """die: once, until this file is there; wait: for this file."""

    def attach(self, base, dataset, seed):
        if self.do == "die" and not self.sign.exists():
            self.sign.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        while self.do == "wait" and not self.sign.exists():
            time.sleep(0.05)
        return LabelFrequencies(dataset)
'''


def write_acting(folder: Path) -> Path:
    """Write the plug-in whose method ``act`` dies or waits when it is told to."""
    return write_plugin(folder, {"bench.methods": {"act": "acting:Act"}}, "acting-methods", acting=ACT)


def write_table(path: Path, rows: int = 60) -> Path:
    """Write a CSV file of two classes, told apart by their first letter."""
    lines = [f"{'ab'[n % 2]}{'klmnop'[n % 6]}{n},{('yes', 'no')[n % 2]}" for n in range(rows)]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def write_tiny_model(folder: Path) -> Path:
    """Write a random Llama whose tokenizer lacks a pad token."""
    from bench.testing.tiny import tiny_network, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    tiny_network().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
