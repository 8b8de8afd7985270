"""MultiEmo: sentiment in eleven languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from bench.core.packages import BIGBENCH
from bench.datasets.base import Dataset, LabelWords
from bench.datasets.examples import Row

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
