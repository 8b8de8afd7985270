"""Natural Instructions: tasks that are described as to a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from bench.core.entries import Entry
from bench.core.packages import BIGBENCH
from bench.datasets.answers import by_first_line
from bench.datasets.base import TextDataset
from bench.datasets.examples import Row, split_of
from bench.forward.settings import Generate

_FOLDERS = {
    "quoref": "subtask002_quoref_answer_generation",
    "cosmosqa": "subtask024_cosmosqa_answer_generation",
    "drop": "subtask028_drop_answer_generation",
    "winogrande": "subtask033_winogrande_answer_generation",
    "question_typing": "subtask046_miscellaenous_question_typing",
}


_PARTS = ("quoref", "drop")
"""Tasks whose several outputs are parts of one answer."""


class NaturalInstructions(TextDataset):
    """Natural Instructions: tasks described as to a worker, with 6,500 inputs and outputs each (Mishra et al., 2022).

    All inputs of a passage, or about a word, are in one split, which the package does not mark. Outputs of CosmosQA and
    of question typing are several right ones, in the order of the alphabet, and the first is trained on; of Quoref and
    DROP several are parts of one answer, and such inputs (680 and 15) are left out. Every output ends in a full stop.

    The instruction stands before each input: 77, 138, 264, 82 and 635 tokens of SmolLM2, in the order of `task`; the
    median input has 466, 92, 312, 34 and 26. A template without ``{instruction}`` leaves it out.
    """

    title = "Natural Instructions"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/natural_instructions/<subtask>/task.json"
    license = "Apache-2.0 (the sets behind it have terms of their own, CC-BY-4.0 or CC-BY-SA-4.0)"
    citation = (
        "@inproceedings{mishra-2022-cross, title={Cross-Task Generalization via Natural Language Crowdsourcing "
        "Instructions}, author={Mishra, Swaroop and Khashabi, Daniel and Baral, Chitta and Hajishirzi, Hannaneh}, "
        "booktitle={ACL 2022}, year={2022}}"
    )
    homepage = "https://instructions.apps.allenai.org"
    wheel = BIGBENCH

    task: Literal["quoref", "cosmosqa", "drop", "winogrande", "question_typing"] = "quoref"
    """Subtask 002, 024, 028, 033 or 046: which phrase of a passage answers, why or what then in a story, questions
    that need counting or sums, which of two words fills a gap, which of 13 types a question's answer has."""
    template: str = "{instruction}\n\n{input}\nOutput:"
    metrics: tuple[Entry, ...] = by_first_line("f1_squad")
    generate: Generate = Generate(max_new_tokens=32)
    validation_size: int | None = 300
    test_size: int | None = 500

    def rows(self) -> Iterator[Row]:
        """Read the inputs of the task; a passage, or the word in question, stands before the question."""
        task = BIGBENCH.json(self.source.partition(", ")[2].replace("<subtask>", _FOLDERS[self.task]))
        for example in task["examples"]:
            text, outputs = example["input"].strip(), tuple(output.strip() for output in example["target"])
            if len(outputs) == 1 or self.task not in _PARTS:
                fields = {"instruction": task["task_prefix"].strip(), "input": text}
                yield Row(fields, 0, split_of(text.partition("\nQuestion: ")[0]), outputs)
