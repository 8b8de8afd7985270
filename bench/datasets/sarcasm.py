"""Sarcastic headlines among plain ones."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.packages import Wheel
from bench.datasets.base import Dataset, LabelWords
from bench.datasets.examples import Row

EVALS = Wheel.pinned("evals")


class Sarcasm(Dataset):
    """News headlines: is a headline sarcastic (Misra and Arora, 2023)? Of 28,498 that differ, 13,548 are.

    All sarcastic headlines are The Onion's and all others HuffPost's: what is learnt may be the style of the outlet.
    They are in lower case. Some of the jokes are coarse.
    """

    title = "News headlines: sarcastic or not"
    source = "evals 3.0.1.post1, evals/registry/data/sarcasm/samples.jsonl"
    license = (
        "none stated for the data; the headlines are The Onion's and HuffPost's (the package: MIT, some data excepted)"
    )
    citation = (
        "@article{misra-arora-2023-sarcasm, title={Sarcasm Detection using News Headlines Dataset}, "
        "author={Misra, Rishabh and Arora, Prahal}, journal={AI Open}, volume={4}, pages={13--18}, year={2023}}"
    )
    homepage = "https://github.com/rishabhmisra/News-Headlines-Dataset-For-Sarcasm-Detection"
    wheel = EVALS

    template: str = "Headline: {text}\nIs this headline sarcastic? Answer:"
    label_words: LabelWords = ("no", "yes")
    validation_size: int | None = 500
    test_size: int | None = 1000

    def rows(self) -> Iterator[Row]:
        """Read dialogues of an instruction, which is left out, and a headline; ``ideal`` is 1 for sarcasm."""
        for row in EVALS.json_lines("evals/registry/data/sarcasm/samples.jsonl"):
            yield Row({"text": row["input"][-1]["content"].strip()}, int(row["ideal"]))
