"""How far a method's confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies in one range."""

    confidence: float
    """Their mean confidence."""
    accuracy: float
    """The share of them that is right."""
    count: int


def reliability(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> tuple[list[Bin], float]:
    """Return the bins of a reliability diagram that are not empty, and the expected calibration error.

    Source: Guo et al. (2017), On calibration of modern neural networks, section 2; bins of equal
    width, the upper end included.
    """
    confident, correct = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    place = np.clip(np.ceil(confident * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        inside = place == number
        if inside.any():
            found.append(Bin(float(confident[inside].mean()), float(correct[inside].mean()), int(inside.sum())))
    error = sum(one.count * abs(one.confidence - one.accuracy) for one in found) / max(len(confident), 1)
    return found, error
