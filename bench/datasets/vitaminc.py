"""VitaminC: what a passage says of a claim."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.packages import BIGBENCH
from bench.datasets.base import Dataset, LabelWords
from bench.datasets.examples import Row, split_of

_VERDICTS = ("True", "False", "Neither")


class VitaminC(Dataset):
    """VitaminC: does a passage of Wikipedia support a claim, refute it, or neither (Schuster et al., 2021)?

    Claims and passages come in pairs that differ in few words, so each is there several times. An article's rows are
    therefore kept in one split: a tenth of the articles is for validation, a tenth for test. The shares of the labels
    are 50, 37 and 13 in a hundred.
    """

    title = "VitaminC fact verification"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/vitaminc_fact_verification/task.json"
    license = "CC-BY-SA-3.0 (the package: Apache-2.0)"
    citation = (
        "@inproceedings{schuster-2021-get, title={Get Your Vitamin {C}! Robust Fact Verification with Contrastive "
        "Evidence}, author={Schuster, Tal and Fisch, Adam and Barzilay, Regina}, booktitle={NAACL 2021}, year={2021}}"
    )
    homepage = "https://github.com/TalSchuster/VitaminC"
    wheel = BIGBENCH

    template: str = "{passage}\nClaim: {claim}\nTrue, false or neither? Answer:"
    label_words: LabelWords = ("true", "false", "neither")
    validation_size: int | None = 500
    test_size: int | None = 1000

    def rows(self) -> Iterator[Row]:
        """Read the examples of the task; a passage begins with the title of its article and a colon."""
        for example in BIGBENCH.json("bigbench/benchmark_tasks/vitaminc_fact_verification/task.json")["examples"]:
            passage, claim = example["input"].split("\nClaim: ")
            scores = example["target_scores"]
            label = _VERDICTS.index(max(scores, key=scores.get))
            yield Row({"passage": passage, "claim": claim}, label, split_of(passage.partition(": ")[0]))
