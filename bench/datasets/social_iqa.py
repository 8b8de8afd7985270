"""Social IQa: which of three answers to a question about a situation."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.packages import BIGBENCH
from bench.datasets.base import OptionsDataset
from bench.datasets.examples import Row


class SocialIqa(OptionsDataset):
    """Social IQa: a situation, a question about it, and three answers to choose from (Sap et al., 2019).

    The package has the 1,954 questions of the official validation split alone, which are drawn from anew; 19 are there
    twice, and five more twice with different right answers. Four questions have two options.
    """

    title = "Social IQa, validation side"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/social_iqa/task.json"
    license = "none stated by its authors (the package: Apache-2.0)"
    citation = (
        "@inproceedings{sap-2019-social, title={Social {IQa}: Commonsense Reasoning about Social Interactions}, "
        "author={Sap, Maarten and Rashkin, Hannah and Chen, Derek and Le Bras, Ronan and Choi, Yejin}, "
        "booktitle={EMNLP 2019}, year={2019}}"
    )
    homepage = "https://huggingface.co/datasets/allenai/social_i_qa"
    wheel = BIGBENCH

    template: str = "{question}\nAnswer:"
    validation_size: int | None = 150
    test_size: int | None = 500

    def rows(self) -> Iterator[Row]:
        """Read the questions, each behind its situation, with a score of 1 for the right option."""
        for example in BIGBENCH.json("bigbench/benchmark_tasks/social_iqa/task.json")["examples"]:
            question, scores = example["input"].strip(), example["target_scores"]
            options = tuple(scores)
            right = options.index(max(scores, key=scores.get))
            yield Row({"question": question}, right, answers=options)
