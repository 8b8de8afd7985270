"""SQuAD 1.1, and four other kinds of text with questions written in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bench.core.entries import Entry
from bench.core.packages import BIGBENCH
from bench.datasets.answers import by_first_line
from bench.datasets.base import TextDataset
from bench.datasets.examples import Row, split_of
from bench.forward.settings import Generate

_MILLER = (
    "@inproceedings{miller-2020-effect, title={The Effect of Natural Distribution Shift on Question Answering Models}, "
    "author={Miller, John and Krauth, Karl and Recht, Benjamin and Schmidt, Ludwig}, booktitle={ICML 2020}, "
    "year={2020}}"
)


class Squad(TextDataset):
    """SQuAD 1.1: a paragraph of Wikipedia, a question, and the words of the paragraph that answer it.

    The package has the 10,565 questions of the official development split alone (Rajpurkar et al., 2016). They are cut
    anew: all questions of a paragraph are in one split, a tenth of the paragraphs is for validation, a tenth for test.
    Another paragraph of the same article may be in train. Scores are therefore not comparable with published ones,
    whose models were trained on 87,599 questions. Answers of several people are references; the most frequent is
    trained on. Of the inputs, half are longer than 170 tokens of SmolLM2, one in a hundred longer than 490.
    """

    title = "SQuAD 1.1, development side"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/squad_shifts/squaddev_v1.1.json"
    license = "CC-BY-SA-4.0 (the package: Apache-2.0)"
    citation = (
        "@inproceedings{rajpurkar-2016-squad, title={{SQuAD}: 100,000+ Questions for Machine Comprehension of Text}, "
        "author={Rajpurkar, Pranav and Zhang, Jian and Lopyrev, Konstantin and Liang, Percy}, booktitle={EMNLP 2016}, "
        "year={2016}}"
    )
    homepage = "https://rajpurkar.github.io/SQuAD-explorer/"
    wheel = BIGBENCH

    template: str = "{context}\nQuestion: {question}\nAnswer:"
    metrics: tuple[Entry, ...] = by_first_line("f1_squad", "exact_match")
    generate: Generate = Generate(max_new_tokens=24)
    validation_size: int | None = 500
    test_size: int | None = 700

    def rows(self) -> Iterator[Row]:
        """Read the questions; the template may name ``context``, ``question`` and ``title``."""
        for article in BIGBENCH.json(self.source.partition(", ")[2])["data"]:
            for paragraph in article["paragraphs"]:
                context = paragraph["context"].strip()
                for asked in paragraph["qas"]:
                    answers = Counter(answer["text"].strip() for answer in asked["answers"])
                    fields = {"title": article["title"], "context": context, "question": asked["question"].strip()}
                    ordered = tuple(text for text, _ in answers.most_common())
                    yield Row(fields, 0, split_of(context), ordered)


class SquadWiki(Squad):
    """SQuADShifts, new Wikipedia: 7,936 questions on other articles, gathered as SQuAD was (Miller et al., 2020).

    Cut by paragraph as `squad` is; a data set to transfer to is tested on its test split.
    """

    title = "SQuADShifts, new Wikipedia"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/squad_shifts/new_wiki_v1.0.json"
    license = "CC-BY-4.0 for questions and answers, texts are their authors' (the package: Apache-2.0)"
    citation = _MILLER
    homepage = "https://modestyachts.github.io/squadshifts-website/"


class SquadNyt(SquadWiki):
    """SQuADShifts, New York Times: 10,056 questions on articles of 2015, gathered as SQuAD was (Miller et al., 2020).

    Cut by paragraph as `squad` is; a data set to transfer to is tested on its test split.
    """

    title = "SQuADShifts, New York Times"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/squad_shifts/nyt_v1.0.json"


class SquadReddit(SquadWiki):
    """SQuADShifts, Reddit: 9,767 questions on comments, gathered as SQuAD was (Miller et al., 2020).

    Cut by comment as `squad` is by paragraph; a data set to transfer to is tested on its test split.
    """

    title = "SQuADShifts, Reddit"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/squad_shifts/reddit_v1.0.json"


class SquadAmazon(SquadWiki):
    """SQuADShifts, Amazon: 9,877 questions on reviews of products, gathered as SQuAD was (Miller et al., 2020).

    Cut by review as `squad` is by paragraph; a data set to transfer to is tested on its test split.
    """

    title = "SQuADShifts, Amazon"
    source = "bigbench 1.0.0, bigbench/benchmark_tasks/squad_shifts/amazon_reviews_v1.0.json"
