"""E2E: descriptions of restaurants, from their attributes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.entries import Entry
from bench.core.packages import BIGBENCH
from bench.datasets.answers import by_first_line
from bench.datasets.base import TextDataset
from bench.datasets.examples import Row


class E2eNlg(TextDataset):
    """E2E: attributes of a restaurant, to be put into words (Novikova et al., 2017; the edition of GEM).

    The package has 1,000 rows of the official test side. They are of 213 inputs, whose texts (up to 35) become
    references of one example, so 123 are left to train on: for trying, not for results. BLEU and ROUGE need
    ``pip install 'promptscale[text]'``.
    """

    title = "E2E restaurant descriptions, 1,000 of the test side"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/gem/e2e_nlg/task.json"
    license = "CC-BY-SA-4.0 (the package: Apache-2.0)"
    citation = (
        "@inproceedings{novikova-2017-e2e, title={The {E2E} Dataset: New Challenges For End-to-End Generation}, "
        "author={Novikova, Jekaterina and Du{\\v{s}}ek, Ond{\\v{r}}ej and Rieser, Verena}, booktitle={SIGDIAL 2017}, "
        "year={2017}}"
    )
    homepage = "https://huggingface.co/datasets/GEM/e2e_nlg"
    wheel = BIGBENCH

    template: str = "{attributes}\nDescription:"
    metrics: tuple[Entry, ...] = by_first_line("bleu", "rouge_l")
    validation_size: int | None = 30
    test_size: int | None = 60

    def rows(self) -> Iterator[Row]:
        """Read the rows; those of one input are merged when splits are drawn."""
        for example in BIGBENCH.json("bigbench/benchmark_tasks/gem/e2e_nlg/task.json")["examples"]:
            yield Row({"attributes": example["input"].strip()}, answers=(example["target"].strip(),))
