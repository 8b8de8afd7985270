"""Classification by the logits of label words, or of an encoder's head, and what models answer when left free."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import softmax
from torch.nn.functional import cross_entropy, log_softmax

from bench.forward.batch import evaluation_batches
from bench.forward.settings import Generate
from bench.methods.base import TunedModel
from bench.metrics.base import Metric
from bench.runs.record import Evaluated, Predictions
from bench.training.device import autocast
from bench.training.encoding import Encoder

if TYPE_CHECKING:
    from bench.datasets.examples import Example


@dataclass(frozen=True)
class Pass:
    """One pass over a split."""

    scores: np.ndarray
    """[n, C] a score for each example and label."""
    loss: float | None
    """Mean cross-entropy (nats) a token of the right label, of an encoder over the labels; None for a method without a
    language model."""
    tokens: int
    """Real input tokens that were run."""
    answers: int
    """Positions whose logits were asked for."""
    truncated: int
    """Inputs that were cut to fit the context."""

    def evaluated(self, step: int, references: Sequence[int], metrics: dict[str, Metric]) -> Evaluated:
        """Return the pass as a record keeps it."""
        predictions = self.scores.argmax(1).tolist()
        values = {name: metric.compute(predictions, references) for name, metric in metrics.items()}
        loss = self.loss if self.loss is not None and math.isfinite(self.loss) else None
        perplexity = math.exp(loss) if loss is not None and loss < 700 else None
        return Evaluated(step=step, metrics=values, loss=loss, perplexity=perplexity)

    def predictions(self, examples: Sequence[Example], labels: Sequence[str]) -> Predictions:
        """Return what was predicted, with the softmax over the label scores as confidence."""
        confidences = softmax(self.scores, axis=1).max(1)
        return Predictions(
            ids=[e.id for e in examples],
            references=[e.label for e in examples],
            predictions=self.scores.argmax(1).tolist(),
            labels=list(labels),
            confidences=[round(float(c), 6) for c in confidences],
        )


@dataclass
class Counts:
    """What is counted while examples are scored; see `Pass`."""

    loss: float = 0.0
    """Sum over the tokens of the right labels (nats)."""
    label_tokens: int = 0
    tokens: int = 0
    answers: int = 0
    truncated: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self


class Scorer:
    """Scores examples with an attached method.

    Args:
        tuned: the method on its model.
        encoder: encodes the data set for that model; None for a method without a language model.
        room: tokens of text that fit (see `Encoder.room`).
        batch_size: sequences a forward pass.
        dtype: precision of the forward pass, that of the training.
    """

    no_gradients: Callable[[], AbstractContextManager[Any]] = staticmethod(torch.inference_mode)
    """What surrounds every forward pass."""

    def __init__(
        self,
        tuned: TunedModel,
        encoder: Encoder | None,
        room: int | None,
        batch_size: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.tuned = tuned
        self.encoder = encoder
        self.room = room
        self.batch_size = batch_size
        self.dtype = dtype

    def run(self, examples: Sequence[Example]) -> Pass:
        """Score a split in eval mode."""
        self._counts = Counts()
        with self.evaluating():
            scores = self.tuned.score_labels(examples, self._by_logits)
        counts = self._counts
        loss = counts.loss / counts.label_tokens if counts.label_tokens else None
        return Pass(scores, loss, counts.tokens, counts.answers, counts.truncated)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Surround the forward passes of an evaluation: in eval mode, without gradients, in the right precision."""
        self.tuned.train(False)
        with self.no_gradients(), self._precision(), self.tuned.evaluating():
            yield

    def _by_logits(self, examples: Sequence[Example], of_split: bool = True) -> np.ndarray:
        """Score examples as `bench.methods.base.ByLogits` says."""
        scores, counts = self._scored(examples)
        self._counts += counts if of_split else Counts(tokens=counts.tokens, answers=counts.answers)
        return scores

    def _scored(self, examples: Sequence[Example]) -> tuple[np.ndarray, Counts]:
        """Return a score for each example and label, [n, C], and what was counted on the way."""
        encoder = self._encoder()
        inputs, truncated = encoder.inputs(examples, self.room)
        scores, counts = np.zeros((len(examples), len(encoder.labels))), Counts(truncated=truncated)
        if encoder.single_token_labels:
            self._one_token(examples, inputs, encoder, scores, counts)
        else:
            self._several_tokens(examples, inputs, encoder, scores, counts)
        return scores, counts

    def _batches(self, lengths: Sequence[int], batch_size: int) -> Iterable[list[int]]:
        """Return the batches to run."""
        return evaluation_batches(lengths, batch_size)

    def _one_token(
        self, examples: Sequence[Example], inputs: list[list[int]], encoder: Encoder, scores: np.ndarray, counts: Counts
    ) -> None:
        """Fill in the scores by the logits of the labels' tokens after the input: one row of logits an example."""
        words = torch.tensor([ids[0] for ids in encoder.label_ids], device=encoder.device)
        for rows in self._batches([len(ids) for ids in inputs], self.batch_size):
            batch = encoder.batch([(inputs[i], encoder.label_ids[examples[i].label]) for i in rows])
            logits = self.tuned.logits(batch)
            counts.loss += cross_entropy(logits, batch.targets, reduction="sum").item()
            counts.label_tokens += len(rows)
            counts.tokens += int(batch.attention_mask.sum())
            counts.answers += len(rows)
            scores[rows] = logits[:, words].double().cpu().numpy()

    def _several_tokens(
        self, examples: Sequence[Example], inputs: list[list[int]], encoder: Encoder, scores: np.ndarray, counts: Counts
    ) -> None:
        """Fill in the scores by the mean log-likelihood of each label's tokens: one sequence an example and label.

        An example's sequences stand behind each other, so that a packed forward runs their input once.
        """
        labels = encoder.label_ids
        sizes = [len(ids) for ids in labels]
        for rows in self._batches([len(ids) for ids in inputs], max(1, self.batch_size // len(labels))):
            batch = encoder.batch([(inputs[i], ids) for i in rows for ids in labels])
            chosen = log_softmax(self.tuned.logits(batch), -1).gather(1, batch.targets[:, None])[:, 0].double().cpu()
            counts.tokens += sum(len(inputs[i]) + sum(sizes) - len(sizes) for i in rows)
            counts.answers += len(rows) * sum(sizes)
            for index, row in zip(rows, chosen.split(sum(sizes)), strict=True):
                parts = row.split(sizes)
                scores[index] = [part.mean().item() for part in parts]
                right = parts[examples[index].label]
                counts.loss -= right.sum().item()
                counts.label_tokens += len(right)

    def non_label_share(self, examples: Sequence[Example]) -> float | None:
        """Return the share of greedily generated answers that begin with no label word; None where none can be."""
        if not examples or self.encoder is None or not self.encoder.generates:
            return None
        inputs, _ = self.encoder.inputs(examples, self.room)
        words = [word.strip().lower() for word in self.encoder.labels]
        # One token more than the longest label has: it shows where the word ends.
        settings = Generate(max_new_tokens=max(map(len, self.encoder.label_ids)) + 1)
        with self.no_gradients(), self._precision():
            answers = self.tuned.generate(inputs, settings, batch_size=self.batch_size)
        wrong = sum(not any(_begins_with(answer.text, word) for word in words) for answer in answers)
        return wrong / len(examples)

    def _precision(self) -> AbstractContextManager[None]:
        """Compute as in training."""
        return nullcontext() if self.encoder is None else autocast(self.encoder.device, self.dtype)

    def _encoder(self) -> Encoder:
        assert self.encoder is not None, "only a method with a language model scores by logits"
        return self.encoder


def _begins_with(answer: str, word: str) -> bool:
    text = answer.strip().lower()
    return text.startswith(word) and not text[len(word) : len(word) + 1].isalnum()
