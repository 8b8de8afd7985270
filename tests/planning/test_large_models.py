"""The tables of docs/large_models.md are what the formulas give."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, T5Config

from bench.training.costs import Costs
from bench.training.fully_sharded import blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "large_models.md"
PROMPT = 20 * 4096


@pytest.fixture(scope="module")
def xxl() -> tuple[int, int, int]:
    """All parameters of T5-XXL, those in blocks, and those of the largest block."""
    described = json.loads((files("bench.planning") / "configurations" / "t5-v1.1-xxl.json").read_text())
    with torch.device("meta"):
        network = AutoModelForSeq2SeqLM.from_config(T5Config(**described["config"]))
    sizes = [sum(p.numel() for p in block.parameters()) for block in blocks_of(network)]
    return described["parameters"], sum(sizes), max(sizes)


def rows(words: str) -> dict[int, float]:
    table = PAGE.read_text().partition(words)[2].partition("\n\n")[0]
    return {int(gpus): float(total) for gpus, total in re.findall(r"^\| (\d) .*\*\*([\d.]+)\*\* \|$", table, re.M)}


def test_the_tables_are_the_formulas(xxl):
    every, inside, largest = xxl
    assert f"{every:,}" in PAGE.read_text() and f"{inside:,}" in PAGE.read_text() and f"{largest:,}" in PAGE.read_text()
    prompt, full = rows("prompt tuning: weights"), rows("full fine-tuning: weights")
    assert list(prompt) == list(full) == [1, 2, 4, 8]
    for gpus in prompt:
        held = every - inside + inside / gpus
        block = largest if gpus > 1 else 0
        assert prompt[gpus] == pytest.approx((2 * (held + block) + 16 * PROMPT) / 2**30, abs=0.06)
        assert full[gpus] == pytest.approx((16 * held + 8 * block) / 2**30, abs=0.06)
    alone = Costs(frozen=every, trained=PROMPT, body=0, head=0).memory_floor(2)
    assert prompt[1] == pytest.approx(alone / 2**30, abs=0.06)
    assert full[1] == pytest.approx(Costs(frozen=0, trained=every, body=0, head=0).memory_floor() / 2**30, abs=0.06)
