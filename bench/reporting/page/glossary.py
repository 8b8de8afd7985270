"""What the numbers of a verdict mean, in plain words: as a tooltip where they stand, and as a list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Term:
    """A term of the sentences on the page."""

    name: str
    meaning: str
    pattern: str
    """What it looks like in a sentence."""


TERMS = (
    Term(
        "0.80 ± 0.02 (5 seeds)",
        "The mean score on test over that many runs, and their standard deviation: how far one run typically is from "
        "that mean. The runs differ in their random seeds, and in their rows where splits are drawn anew or folded.",
        r"\d[\d.]* ± [\d.]+ \([^)]*\)",
    ),
    Term(
        "95 % interval",
        "How large the gap may really be. If all were repeated with other seeds and other test items, an interval made "
        "this way would hold the true gap 95 times in 100.",
        r"95 % interval",
    ),
    Term(
        "p",
        "How likely a gap at least this large would be if the two methods were in truth equally good.",
        r"p (?:&lt;|=) [\d.]+",
    ),
    Term(
        "corrected for so many pairs",
        "Of many pairs of methods one looks different by luck. p is raised to allow for that (Holm, 1979).",
        r"corrected for [\d,]+ pairs?",
    ),
    Term(
        "beyond chance",
        "Were the methods equally good, luck with seeds and test items would give such a gap in fewer than 5 of 100 "
        "experiments, all pairs of methods of the model counted together.",
        r"beyond chance",
    ),
    Term(
        "within chance",
        "Luck with seeds or test items can explain the gap: these runs do not show which method is better.",
        r"within chance",
    ),
    Term(
        "half of the gaps are known to ± 3.0 points",
        "Half the width of the 95 % interval of a gap, for the middle one of all pairs.",
        r"known to ± [\d.]+ points?",
    ),
)

_ANY = re.compile("|".join(f"(?P<t{place}>{term.pattern})" for place, term in enumerate(TERMS)))


def explained(lines: Iterable[Markup]) -> list[Markup]:
    """Give the terms in rendered lines, which hold no tag with an attribute, their meaning as a tooltip."""
    return [Markup(_ANY.sub(_tooltip, line)) for line in lines]


def _tooltip(found: re.Match[str]) -> str:
    term = TERMS[int(str(found.lastgroup)[1:])]
    return f'<abbr title="{Markup.escape(term.meaning)}">{found[0]}</abbr>'
