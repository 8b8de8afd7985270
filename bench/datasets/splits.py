"""The three splits of a data set, and what in them is likely to mislead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.datasets.answers import Answer, LabelWord
from bench.datasets.examples import Example
from bench.datasets.template import columns, render

MOST_OF_ONE_LABEL = 0.7
"""Share of one label above which accuracy is no measure of a data set."""


@dataclass(frozen=True)
class Splits:
    """The three splits, disjoint by text."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]
    """The label words, in the order of the label indices; none where answers are of another kind."""
    revision: str
    """sha256 over all examples and label words: what was really used. The same for every fold."""
    duplicates: int
    """Rows left out because their text had been seen, and all rows of a text that has several labels. A free text's
    rows are not left out: they are references of one example."""
    template: str = "{text}"
    """The template that rendered the examples."""
    conflicting: int = 0
    """Of `duplicates`, the rows of texts that have several labels: none of them is kept."""
    answer: Answer = field(default_factory=LabelWord)
    """What an answer is."""

    def right(self, example: Example) -> str:
        """Return the right answer of an example in words; of several references the first."""
        return (example.answers or self.labels)[example.label]

    @property
    def majority_share(self) -> float:
        """Share of the most frequent label in train and validation; about what answering it always scores as accuracy.

        Splits are drawn stratified, and the test split is for finals alone to read. 0 where answers are of another
        kind than label words.
        """
        if not self.labels:
            return 0.0
        counts = Counter(example.label for part in (self.train, self.validation) for example in part)
        return max(counts.values(), default=0) / max(1, counts.total())

    def cautions(self, objective: str) -> Iterator[str]:
        """Say what in these splits is likely to mislead: that, and labels of which too few rows are there."""
        if (said := accuracy_caution(objective, self.majority_share)) is not None:
            yield said
        for name, part in (("train", self.train), ("test", self.test)):
            rows = Counter(example.label for example in part)
            if absent := [word for index, word in enumerate(self.labels) if not rows[index]]:
                yield f"no row of {name} has the label {_listed(absent)}"
            if name == "train" and (single := [word for index, word in enumerate(self.labels) if rows[index] == 1]):
                yield f"one row of {name} alone has the label {_listed(single)}"

    def filled(self, text: str) -> str:
        """Return the template with ``text`` in place of every column, as a method may ask for."""
        return render(self.template, dict.fromkeys(columns(self.template), text))


def _listed(labels: Sequence[str]) -> str:
    """Name the first ten labels."""
    more = len(labels) - 10
    return ", ".join(map(repr, labels[:10])) + (f" and {more} more" if more > 0 else "")


def accuracy_caution(objective: str, majority_share: float) -> str | None:
    """Say in one line why accuracy is no measure where one label has a large share; None where it is, or not used.

    Args:
        objective: the metric that a study optimises, by name.
        majority_share: share of the most frequent label, 0 to 1.
    """
    if objective != "accuracy" or majority_share <= MOST_OF_ONE_LABEL:
        return None
    return (
        f"{majority_share:.0%} of the rows have the same label, so accuracy hardly tells a method from one that always "
        "answers it; put f1_macro or mcc first in the data set's metrics"
    )
