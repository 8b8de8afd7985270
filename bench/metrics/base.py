"""The contract of a metric over label indices, and what it shares with metrics over text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from bench.core.config import Config
from bench.core.trust import Trusted

Scored = Literal["labels", "likelihood", "text"]
"""What a metric scores: label indices, the likelihood of the right answer, or written text."""


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

    @abstractmethod
    def compute(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Return the score; both sequences hold label indices and are of the same length."""
        raise NotImplementedError
