"""The contract of a metric: predicted and true label indices in, one number out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from bench.core.config import Config
from bench.core.trust import Trusted


class Metric(Config):
    """A metric over label indices."""

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

    @abstractmethod
    def compute(self, predictions: Sequence[int], references: Sequence[int]) -> float:
        """Return the score; both sequences hold label indices and are of the same length."""
        raise NotImplementedError
