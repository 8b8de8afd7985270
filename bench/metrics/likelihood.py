"""Metrics over the likelihood of the right answer: cheap, of little variance, and nothing has to be written."""

from __future__ import annotations

import math
from abc import abstractmethod
from statistics import fmean
from typing import ClassVar, Literal

from bench.metrics.base import Answered, BaseMetric, Score, Scored


class Likelihood(BaseMetric):
    """A metric over negative log-likelihoods; lower is better. Subclasses say how they are put together (`score`)."""

    scored: ClassVar[Scored] = "likelihood"

    greater_is_better: Literal[False] = False
    """Whether a study maximises it."""

    def of(self, answered: Answered) -> Score | None:
        """Return the score; None of what has no likelihood, and where one is no number: such a model has diverged."""
        nats = list(answered.nats or ())
        return self.score(nats, answered.answer_bytes) if nats and all(map(math.isfinite, nats)) else None

    @abstractmethod
    def score(self, nats: list[float], answer_bytes: int) -> Score:
        """Return the score of n answers by their negative log-likelihoods and the bytes of all of them."""
        raise NotImplementedError


class NegativeLogLikelihood(Likelihood):
    """Nats of the right answer, its end token among them where it is free text: the mean over examples.

    They are of whole answers, not of tokens, so that models with other tokenizers can be compared.
    """

    title: ClassVar[str] = "Negative log-likelihood of the answer (nats)"

    def score(self, nats: list[float], answer_bytes: int) -> Score:
        """Return the mean."""
        return fmean(nats), nats


class BitsPerByte(Likelihood):
    """Bits of the right answers a byte of their UTF-8: a perplexity that does not depend on the tokenizer.

    The sum of all bits over the sum of all bytes; an answer's end token has bits and no bytes.
    """

    title: ClassVar[str] = "Bits per byte of the answer"

    def score(self, nats: list[float], answer_bytes: int) -> Score:
        """Return the bits a byte."""
        return sum(nats) / math.log(2) / max(1, answer_bytes), None
