"""The contract of a metric over label indices, and what it shares with metrics over text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from bench.core.config import Config
from bench.core.trust import Trusted

Scored = Literal["labels", "likelihood", "text"]
"""What a metric scores: label indices, the likelihood of the right answer, or written text."""


@dataclass(frozen=True)
class Answered:
    """What was answered to n examples: all that a metric may look at."""

    predictions: Sequence[int] = ()
    """Indices of the labels or options with the highest score."""
    references: Sequence[int] = ()
    """Indices of the right ones."""
    nats: Sequence[float] | None = None
    """Negative log-likelihood of each right answer, the sum over its tokens; None of what has no likelihood."""
    answer_bytes: int = 0
    """Bytes of the right answers in UTF-8, as far as their likelihood was asked for."""
    texts: Sequence[str] | None = None
    """What was written; None where nothing was."""
    answers: Sequence[Sequence[str]] = ()
    """The right answers in words: of each example one, or several references."""


Score = tuple[float, list[float] | None]
"""A metric's value, and its value of each item where their mean is the metric's."""


class BaseMetric(Config):
    """What all metrics have in common, whatever they score."""

    scored: ClassVar[Scored]
    """What it scores; a data set's kind of answer says which of them it takes."""
    title: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    bounds: ClassVar[tuple[float, float] | None] = None
    """The lowest and the highest score that it can give; None where it has no ends, or they are not known."""
    share_of_right: ClassVar[bool] = False
    """Whether it is the mean over items that count 1 where the prediction is right and 0 where not."""

    greater_is_better: bool = True
    """Whether a study maximises it."""

    @abstractmethod
    def of(self, answered: Answered) -> Score | None:
        """Return the score of what was answered; None where it holds nothing that this metric scores."""
        raise NotImplementedError

    def check(self, references: Sequence[Sequence[str]]) -> None:
        """Look at right answers before any compute.

        Raises:
            BadInput: one that this metric can do nothing with.
        """

    def trusts(self) -> Iterable[Trusted]:
        """Return what it trusts; nothing, where its code is promptscale's."""
        return ()

    def ready(self) -> bool:
        """Whether it can be computed as it is; if not, `prepare` is called before any compute."""
        return True

    def prepare(self) -> None:
        """Fetch and load what `compute` needs.

        Raises:
            Unavailable: it is not to be had.
        """


class Metric(BaseMetric):
    """A metric over label indices."""

    scored: ClassVar[Scored] = "labels"

    def of(self, answered: Answered) -> Score | None:
        """Return the score of the labels that were chosen."""
        return (self.compute(answered.predictions, answered.references), None) if answered.references else None

    @abstractmethod
    def compute(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Return the score; both sequences hold label indices and are of the same length."""
        raise NotImplementedError
