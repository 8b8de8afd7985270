"""Whether an answer ends in the right number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from bench.core.errors import BadInput
from bench.metrics.text.base import TextMetric

# A sign counts where no word or bracket stands before it: 10-5 ends in 5. A comma counts before groups of three.
_NUMBER = re.compile(
    r"((?<![\w)\]])[-\u2212])?[$\u20ac\u00a3\u00a5]?"
    r"(\d{1,3}(?:,\d{3}(?!\d))+(?:\.\d+)?|\d+(?:\.\d+)?|(?<![\w.])\.\d+)"
)


def last_number(text: str) -> Decimal | None:
    """Return the last number of a text, exactly; None where there is none.

    ``1,234.50`` is one number and ``3,5`` are two; of ``50%`` it is 50, of ``1/2`` it is 2.
    """
    found = _NUMBER.findall(text)
    if not found:
        return None
    sign, digits = found[-1]
    return Decimal(("-" if sign else "") + digits.replace(",", ""))


class ExactNumber(TextMetric):
    """Share of the answers whose last number is that of a reference, from 0 to 1: for sums worked out in words.

    3.50 is 3.5, and $1,234 is 1234. An answer without a number is wrong.
    """

    title: ClassVar[str] = "Exact number"
    citation: ClassVar[str] = "Cobbe et al., Training Verifiers to Solve Math Word Problems, arXiv:2110.14168, 2021"
    key: ClassVar[str] = "exact_number"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    share_of_right: ClassVar[bool] = True

    def check(self, references: Sequence[Sequence[str]]) -> None:
        """Refuse a reference that holds no number."""
        for given in references:
            for reference in given:
                if last_number(reference) is None:
                    raise BadInput(
                        f"the metric 'exact_number' needs a number in every reference, found {reference[:60]!r}; "
                        "take exact_match, f1_squad or rouge_l for answers in words"
                    )

    def scores(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """Return 1 for an answer whose last number is right."""
        return [
            float(last_number(answer) in {last_number(reference) for reference in given} - {None})
            for answer, given in zip(answers, references, strict=True)
        ]
