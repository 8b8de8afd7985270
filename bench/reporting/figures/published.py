"""Curves that others have published, to lay over ours. Facts, with their source; other tasks than ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published curve."""

    label: str
    sizes: tuple[int, ...]
    """Parameters of the base models."""
    scores: tuple[float, ...]
    """In percent."""


# Lester et al. (2021), T5 1.1 (LM-adapted), Small to XXL, 100 virtual tokens; SuperGLUE, development set. The
# scores are those that Vu et al. (2022), SPoT, table 4, gives for the same runs: read from a scan
# of that table, and not yet held against a second source. Check them before a figure with them is published.
_SIZES = (76_961_152, 247_577_856, 783_150_080, 2_849_757_184, 11_135_332_352)
_SOURCE = "T5 on SuperGLUE, Lester et al. (2021)"
LESTER_2021 = (
    Published(f"prompt tuning, {_SOURCE}", _SIZES, (59.8, 63.1, 74.5, 79.2, 88.8)),
    Published(f"full fine-tuning, {_SOURCE}", _SIZES, (62.8, 73.7, 81.3, 83.1, 89.9)),
    Published(f"prompt design, {_SOURCE}", _SIZES, (40.6, 43.4, 45.1, 47.8, 52.8)),
)
