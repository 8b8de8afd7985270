"""Who listens to a trial that runs without an engine."""

from __future__ import annotations


class Listener:
    """Plays the study: keeps what it is told, and prunes at the first validation if told so."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.steps: list[int] = []
        self.scores: list[float] = []

    def progress(self, step: int, steps: int, loss: float) -> None:
        self.steps.append(step)

    def validated(self, step: int, value: float) -> bool:
        self.scores.append(value)
        return self.answer
