"""The hard prompt: the model as it is, with or without examples before the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bench.methods.base import Method, TunedModel

if TYPE_CHECKING:
    from bench.datasets.answers import Answer
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel


class HardPrompt(Method):
    """Zero-shot or few-shot: the data set's template and the frozen model, nothing trained (prompt design)."""

    title = "Hard prompt"
    citation = (
        "Brown et al.: Language Models are Few-Shot Learners. NeurIPS 2020. arXiv:2005.14165; calibration: Zhao et "
        "al.: Calibrate Before Use. ICML 2021. arXiv:2102.09690"
    )
    trains = False
    when_to_use = "What every trained method has to beat: the same model, asked in words, with or without examples."
    traps = (
        "Which examples are shown, and in what order, moves the score much: they are drawn by the seed, so look "
        "at the spread over seeds.",
        "Examples take room in the context. Where they leave none for the input, the cell is infeasible.",
        "Models prefer some label words whatever the input says: calibrate: true divides that out. One score "
        "without it says little of what the model knows.",
        "Encoders cannot be asked: their head is not trained.",
    )

    shots: int = Field(0, ge=0)
    """Examples with their answers before every input, drawn from train by the seed, of each label as many as of any
    other (give or take one)."""
    calibrate: bool = False
    """Divide the label probabilities by those that the model gives to inputs without content: "N/A", "[MASK]" and an
    empty one (contextual calibration)."""
    separator: str = "\n\n"
    """What stands between examples."""

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Without examples there is nothing to draw."""
        return self.shots > 0

    def refuses(self, answer: Answer) -> str | None:
        """Refuse calibration without label words, and solved examples in a chat template, which has a turn for each."""
        if self.calibrate and not answer.same_for_all:
            return f"calibrate divides the probabilities of label words, and the answers are {answer.title}"
        if self.shots and answer.chat:
            return "shots and format: chat do not go together; take format: instruction"
        return None

    def attach(self, base: LanguageModel, dataset: Splits, seed: int) -> TunedModel:
        """Put the examples before the input."""
        from bench.methods.tuned.hard_prompt import Calibrated, Demonstrations, drawn

        shown = drawn(dataset, self.shots, seed)
        if self.calibrate:
            return Calibrated(base, dataset, shown, self.separator)
        return Demonstrations(base, dataset, shown, self.separator)
