"""The contract of a metric over text, and what part of a text it scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import field_validator

from bench.core.config import Config
from bench.core.errors import Unavailable
from bench.metrics.base import Answered, BaseMetric, Score, Scored

if TYPE_CHECKING:
    import evaluate

EXTRA = "pip install 'promptscale[text]'"
"""What brings the libraries that some of the metrics need."""


class After(Config):
    """What stands behind a pattern."""

    after: str
    """A regular expression (Python's `re`). The answer begins behind its first match; a text without one holds no
    answer and is scored as an empty one."""
    first_line: bool = False
    """Whether the answer ends with its first line that is not blank."""

    @field_validator("after")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"{pattern!r} is no regular expression ({error}); put \\ before a sign that means itself"
            ) from None
        return pattern


Extract = Literal["whole", "first_line"] | After


def extracted(text: str, extract: Extract) -> str:
    """Return the part of a text that is scored."""
    if extract == "whole":
        return text
    if isinstance(extract, After):
        found = re.search(extract.after, text)
        text = text[found.end() :] if found else ""
        if not extract.first_line:
            return text.strip()
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


class TextMetric(BaseMetric):
    """A metric over written answers; subclasses say how each is scored (`scores`) or, if that is no mean, all of them.

    A score of each item is what paired comparisons are made of. The score of all is their mean unless `corpus` says
    otherwise, as BLEU and chrF do.
    """

    scored: ClassVar[Scored] = "text"
    key: ClassVar[str]
    """Name of the score in the answer of the `evaluate` module."""
    library: ClassVar[str | None] = None
    """The module that computes it, where it is not part of what is always installed."""

    greater_is_better: Literal[True] = True
    """Whether a study maximises it."""
    extract: Extract = "whole"
    """What part of a generated text is scored: ``whole``, ``first_line`` (the first that is not blank), or
    ``{after: "pattern"}``. References are taken as they are."""

    def ready(self) -> bool:
        """Whether its library is installed."""
        return self.library is None or find_spec(self.library) is not None

    def prepare(self) -> None:
        """Say what is missing.

        Raises:
            Unavailable: the library is not installed.
        """
        if not self.ready():
            raise Unavailable(f"the metric '{self.key}' needs the package {self.library}: {EXTRA}")

    def of(self, answered: Answered) -> Score | None:
        """Return the score of what was written."""
        if not answered.texts:
            return None
        texts = self._answers(answered.texts, answered.answers)
        if type(self).corpus is not TextMetric.corpus:
            return self.corpus(texts, answered.answers), None
        scores = self.scores(texts, answered.answers)
        return fmean(scores), scores

    def signature(self, references: Sequence[Sequence[str]]) -> str | None:
        """Return the library's own line about what was computed, where it has one."""
        return None

    def compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """Return the score of all answers, within `bounds`.

        Args:
            predictions: n generated texts.
            references: for each of them one right answer or several.
        """
        return self.corpus(self._answers(predictions, references), references)

    def scores(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """Score each answer, already extracted, within `bounds`."""
        raise NotImplementedError

    def corpus(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """Score all answers at once."""
        return fmean(self.scores(answers, references))

    def module(self) -> evaluate.Metric:
        """Return the metric as an `evaluate` module; each of its references is a list of texts."""
        from bench.metrics.modules import TEXTS, Module

        return Module(self.key, self.title, self.citation, TEXTS, self.compute)

    def _answers(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
        if not predictions or len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} answers and {len(references)} lists of references: as many, not none")
        if not all(references) or any(isinstance(one, str) for one in references):
            raise ValueError("references: expected a list of one or several texts for each answer")
        self.prepare()
        return [extracted(text, self.extract) for text in predictions]
