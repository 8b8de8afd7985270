"""What a run took in FLOPs, estimated from the tokens that it ran: the rule stands in `bench.training.costs`."""

from __future__ import annotations

from bench.experiment.settings import Training
from bench.methods.base import TunedModel
from bench.training.costs import costs_of
from bench.training.evaluation import Pass
from bench.training.loop import TrainingResult


class Flops:
    """Estimates the FLOPs of a run with an attached method.

    Real tokens are counted, no padding. A prompt counts where it is run: once a pass where examples share it, else
    with every example.
    """

    def __init__(self, tuned: TunedModel) -> None:
        self._costs = costs_of(tuned)
        self._prompt = tuned.virtual_tokens
        self._shared = tuned.pathway.shares_prompt

    def training(self, result: TrainingResult, settings: Training) -> float:
        """Return the FLOPs of the steps that were taken; validation is not among them."""
        parts = min(settings.batch_size, settings.gradient_accumulation_steps if self._shared else settings.batch_size)
        prompts = self._prompt * parts * len(result.train_curve)
        return float(self._costs.training(result.tokens + prompts, result.answers))

    def example(self, done: Pass) -> float:
        """Return the FLOPs of answering one example of a split; a prompt that all share is run once and left out."""
        examples = len(done.scores)
        prompt = 0 if self._shared else self._prompt
        return self._costs.forward(done.tokens / examples + prompt, done.answers / examples)
