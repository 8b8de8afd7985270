"""``python -m benchmarks.repeats``: how much better is what `study.repeats` chooses? Simulated studies.

The truth is known: each of eight configurations has a mean accuracy of its own (0.75, standard deviation 0.06), a seed
adds normal noise, and a run may collapse to the majority class (0.23), some configurations' more often than others'.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.runs.selection import best_trials

STUDIES = 4000
TRIALS = 8
MAJORITY = 0.23
KINDS = {"stable": (0.02, None), "noisy": (0.05, None), "collapsing": (0.03, (0.5, 2.0))}
"""Standard deviation over seeds, and the beta distribution of the share of runs that collapse."""


def main() -> None:
    """Print, by kind of method and number of repeats, the true mean accuracy of what is chosen, and of the best."""
    for kind, (noise, collapse) in KINDS.items():
        for repeats in (0, 1, 2, 3, 8):
            generator = np.random.default_rng(0)
            chosen, best = np.mean([_study(repeats, noise, collapse, generator) for _ in range(STUDIES)], axis=0)
            print(f"{kind}: {repeats} repeats: chosen {chosen:.3f}, best {best:.3f}")


def _study(
    repeats: int, noise: float, collapse: tuple[float, float] | None, generator: np.random.Generator
) -> tuple[float, float]:
    means = generator.normal(0.75, 0.06, TRIALS)
    collapses = generator.beta(*collapse, TRIALS) if collapse else np.zeros(TRIALS)
    truth = means * (1 - collapses) + MAJORITY * collapses
    scores = np.where(
        generator.random((2, TRIALS)) < collapses, MAJORITY, means + generator.normal(0, noise, (2, TRIALS))
    )
    ranked = np.argsort(-scores[0], kind="stable")
    runs: list[Any] = [_run("trial", number, scores[0, number]) for number in range(TRIALS)]
    runs += [_run("repeat", number, scores[1, number]) for number in ranked[:repeats].tolist()]
    return float(truth[best_trials(runs)[0].spec.number]), float(truth.max())


def _run(kind: str, number: int, score: float) -> SimpleNamespace:
    spec = SimpleNamespace(kind=kind, number=number, cell=SimpleNamespace(greater_is_better=True))
    return SimpleNamespace(spec=spec, status="ok", objective=float(score))


if __name__ == "__main__":
    main()
