"""E2E, MultiEmo, Natural Instructions, Social IQa and VitaminC, which the source archive bigbench carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from bench.core.entries import Entry
from bench.core.packages import BIGBENCH
from bench.datasets.answers import by_first_line
from bench.datasets.base import Dataset, LabelWords, OptionsDataset, TextDataset
from bench.datasets.examples import Row, split_of
from bench.forward.settings import Generate


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


_FEELINGS = ("negative", "neutral", "positive", "ambivalent")


class MultiEmo(Dataset):
    """MultiEmo: sentences of reviews of doctors, hotels, products and lectures by sentiment (Kocon et al., 2021).

    Written in Polish and translated by machine into the other ten languages. Sentences of one review may fall into
    different splits: the file does not say which belong together. What the data call ambivalent is ``mixed`` here, a
    single token of most vocabularies.
    """

    title = "MultiEmo, sentences"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/multiemo/all_sentence_<language>/task.json"
    license = "CC-BY-4.0 by the authors' page, MIT by their paper (the package: Apache-2.0)"
    citation = (
        "@inproceedings{kocon-2021-multiemo, title={{MultiEmo}: Multilingual, Multilevel, Multidomain Sentiment "
        "Analysis Corpus of Consumer Reviews}, author={Koco{\\'n}, Jan and Mi{\\l}kowski, Piotr and Kanclerz, Kamil}, "
        "booktitle={ICCS 2021}, year={2021}}"
    )
    homepage = "https://clarin-pl.eu/index.php/en/multiemo-en/"
    wheel = BIGBENCH

    language: Literal["de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru", "zh"] = "en"
    """Of the sentences; the template and the label words stay as they are."""
    template: str = "Review: {text}\nSentiment:"
    label_words: LabelWords = ("negative", "neutral", "positive", "mixed")
    validation_size: int | None = 500
    test_size: int | None = 1000

    def rows(self) -> Iterator[Row]:
        """Read the examples of the task, each with a score of 1 for its label."""
        task = BIGBENCH.json(f"bigbench/benchmark_tasks/multiemo/all_sentence_{self.language}/task.json")
        for example in task["examples"]:
            scores = example["target_scores"]
            yield Row({"text": example["input"].strip()}, _FEELINGS.index(max(scores, key=scores.get)))


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
