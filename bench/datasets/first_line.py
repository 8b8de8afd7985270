"""Metrics over the first line of what is written."""

from __future__ import annotations

from bench.core.entries import Entry


def by_first_line(*names: str) -> tuple[Entry, ...]:
    """Return ``nll`` and the metrics named, over the first line that is not blank.

    A model that was not trained on a data set goes on behind its answer, or begins with an empty line.
    """
    return (
        Entry.model_validate("nll"),
        *(Entry.model_validate({name: {"extract": "first_line"}}) for name in names),
    )
