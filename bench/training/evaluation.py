"""Answers by their likelihood, or by the logits of an encoder's head, and what models answer when left free."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from bench.metrics.base import Answered, Score
from bench.runs.record import Evaluated, Predictions
from bench.training.device import autocast
from bench.training.encoding import Encoder

if TYPE_CHECKING:
    from bench.datasets.examples import Example
    from bench.datasets.splits import Splits
    from bench.forward.generation import Generated, OnToken


@dataclass(frozen=True)
class Pass:
    """One pass over a split."""

    scores: np.ndarray
    """[n, C] a score for each example and candidate; minus infinity where an example has fewer than C."""
    nats: np.ndarray | None
    """[n] negative log-likelihood of the right answer, the sum over its tokens; of an encoder over the labels. None
    for a method without a language model."""
    answer_tokens: int
    """Tokens of the right answers."""
    answer_bytes: int
    """Bytes of the right answers in UTF-8; as the tokens, without what was cut."""
    tokens: int
    """Real input tokens that were run."""
    answers: int
    """Positions whose logits were asked for."""
    truncated: int
    """Inputs that were cut to fit the context."""

    @property
    def loss(self) -> float | None:
        """Mean cross-entropy (nats) a token of the right answers, of an encoder over the labels; None without one."""
        return None if self.nats is None or not self.answer_tokens else float(self.nats.sum()) / self.answer_tokens

    def answered(self, examples: Sequence[Example], splits: Splits, texts: Sequence[str] | None = None) -> Answered:
        """Return what metrics score; ``texts`` are what was written besides."""
        chosen = splits.answer.choices(examples, splits.labels)
        return Answered(
            predictions=self.scores.argmax(1).tolist() if chosen else (),
            references=[example.label for example in examples] if chosen else (),
            nats=None if self.nats is None else self.nats.tolist(),
            answer_bytes=self.answer_bytes,
            texts=texts,
            answers=[splits.answer.references(example, splits.labels) for example in examples],
        )

    def evaluated(self, step: int, scores: Mapping[str, Score]) -> Evaluated:
        """Return the pass as a record keeps it, with the scores of its metrics."""
        loss = self.loss if self.loss is not None and math.isfinite(self.loss) else None
        perplexity = math.exp(loss) if loss is not None and loss < 700 else None
        values = {name: value for name, (value, _) in scores.items()}
        return Evaluated(step=step, metrics=values, loss=loss, perplexity=perplexity)

    def predictions(self, examples: Sequence[Example], splits: Splits) -> Predictions | None:
        """Return what was chosen, with the softmax over the scores as confidence; None where nothing was."""
        choices = splits.answer.choices(examples, splits.labels)
        if not choices:
            return None
        confidences = softmax(self.scores, axis=1).max(1)
        return Predictions(
            ids=[e.id for e in examples],
            references=[e.label for e in examples],
            predictions=self.scores.argmax(1).tolist(),
            labels=list(choices),
            confidences=[round(float(c), 6) for c in confidences],
        )


@dataclass(frozen=True)
class Scored:
    """Scores of n examples, filled in batch by batch."""

    scores: np.ndarray
    """[n, C], see `Pass`."""
    right: np.ndarray
    """[n, 2] of the right answer: its negative log-likelihood (nats), and its tokens."""
    counts: Counter[str]
    """``tokens``, ``answers`` and ``truncated``, see `Pass`."""


@dataclass
class Scorer:
    """Scores examples with an attached method."""

    tuned: TunedModel
    encoder: Encoder | None
    """None for a method without a language model."""
    room: int | None
    """Tokens of text that fit (see `Encoder.room`)."""
    batch_size: int
    """Sequences a forward pass."""
    dtype: torch.dtype = torch.float32
    """Precision of the forward pass, that of the training."""

    def run(self, examples: Sequence[Example]) -> Pass:
        """Score a split in eval mode."""
        self._counts = Counter[str]()
        self._right: dict[str, np.ndarray] = {}
        with self.evaluating():
            scores = self.tuned.score_labels(examples, self._by_logits)
        counts = self._counts
        right = np.array([self._right[example.id] for example in examples if example.id in self._right])
        known = len(right) == len(examples) > 0
        return Pass(
            scores,
            right[:, 0] if known else None,
            int(right[:, 1].sum()) if known else 0,
            self._encoder().answer_bytes(examples, self.room) if known else 0,
            counts["tokens"],
            counts["answers"],
            counts["truncated"],
        )

    def write(self, examples: Sequence[Example], on_token: OnToken | None = None) -> list[Generated]:
        """Answer examples in free text, as their data set says; ``on_token`` is called for every token."""

        def by_generating(examples: Sequence[Example]) -> list[Generated]:
            encoder = self._encoder()
            inputs, _ = encoder.inputs_to_write(examples, self.room)
            settings = encoder.answer.generate
            return self.tuned.generate(inputs, settings, batch_size=self.batch_size, on_token=on_token)

        with self.no_gradients(), self._precision():
            return self.tuned.write(examples, by_generating)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Surround the forward passes of an evaluation: in eval mode, without gradients, in the right precision."""
        self.tuned.train(False)
        with self.no_gradients(), self._precision(), self.tuned.evaluating():
            yield

    def _by_logits(self, examples: Sequence[Example], of_split: bool = True) -> np.ndarray:
        """Score examples as `bench.methods.base.ByLogits` says."""
        done = self._scored(examples)
        if of_split:
            self._right.update(zip((example.id for example in examples), done.right, strict=True))
            self._counts += done.counts
        else:
            self._counts += Counter(tokens=done.counts["tokens"], answers=done.counts["answers"])
        return done.scores

    def _scored(self, examples: Sequence[Example]) -> Scored:
        """Return a score for each example and candidate, and what was counted on the way."""
        encoder = self._encoder()
        inputs, truncated = encoder.inputs(examples, self.room)
        candidates = [encoder.candidates(example, self.room) for example in examples]
        sizes = np.array([len(each) for each in candidates])
        done = Scored(
            np.zeros((len(examples), sizes.max(initial=1))), np.zeros((len(examples), 2)), Counter(truncated=truncated)
        )
        if encoder.single_token_labels:
            self._one_token(examples, inputs, encoder, done)
        else:
            self._several_tokens(examples, inputs, candidates, done)
        self._gather(done)
        done.scores[np.arange(done.scores.shape[1]) >= sizes[:, None]] = -np.inf
        return done

    def _gather(self, done: Scored) -> None:
        """Add up what several processes have scored; this one alone has scored it all."""

    def _batches(self, lengths: Sequence[int], batch_size: int) -> Iterable[list[int]]:
        """Return the batches to run."""
        return evaluation_batches(lengths, batch_size)

    def _one_token(self, examples: Sequence[Example], inputs: list[list[int]], encoder: Encoder, done: Scored) -> None:
        """Fill in the scores by the logits of the labels' tokens after the input: one row of logits an example."""
        words = torch.tensor([ids[0] for ids in encoder.label_ids], device=encoder.device)
        for rows in self._batches([len(ids) for ids in inputs], self.batch_size):
            batch = encoder.batch([(inputs[i], encoder.label_ids[examples[i].label]) for i in rows])
            logits = self.tuned.logits(batch)
            done.right[rows, 0] = cross_entropy(logits, batch.targets, reduction="none").double().cpu().numpy()
            done.right[rows, 1] = 1
            done.counts["tokens"] += int(batch.attention_mask.sum())
            done.counts["answers"] += len(rows)
            done.scores[rows] = logits[:, words].double().cpu().numpy()

    def _several_tokens(
        self,
        examples: Sequence[Example],
        inputs: list[list[int]],
        candidates: Sequence[Sequence[list[int]]],
        done: Scored,
    ) -> None:
        """Fill in the scores by the mean log-likelihood of each candidate's tokens: one sequence an example and answer.

        An example's sequences stand behind each other, so that a packed forward runs their input once.
        """
        encoder = self._encoder()
        size = max(1, self.batch_size // max(map(len, candidates), default=1))
        for rows in self._batches([len(ids) for ids in inputs], size):
            batch = encoder.batch([(inputs[i], ids) for i in rows for ids in candidates[i]])
            chosen = log_softmax(self.tuned.logits(batch), -1).gather(1, batch.targets[:, None])[:, 0].double().cpu()
            asked = [[len(ids) for ids in candidates[i]] for i in rows]
            for index, sizes, row in zip(rows, asked, chosen.split([sum(sizes) for sizes in asked]), strict=True):
                done.counts["tokens"] += len(inputs[index]) + sum(sizes) - len(sizes)
                done.counts["answers"] += sum(sizes)
                parts = row.split(sizes)
                done.scores[index, : len(sizes)] = [part.mean().item() for part in parts]
                right = parts[examples[index].label]
                done.right[index] = -right.sum().item(), len(right)

    def non_label_share(self, examples: Sequence[Example]) -> float | None:
        """Return the share of greedily generated answers that begin with no label word; None where none can be."""
        if not examples or self.encoder is None or not self.encoder.generates or not self.encoder.labels:
            return None
        inputs, _ = self.encoder.inputs(examples, self.room)
        words = [word.strip().lower() for word in self.encoder.labels]
        # One token more than the longest label has: it shows where the word ends.
        settings = Generate(max_new_tokens=max(map(len, self.encoder.label_ids)) + 1)
        with self.no_gradients(), self._precision():
            answers = self.tuned.generate(inputs, settings, batch_size=self.batch_size)
        wrong = sum(not any(_begins_with(answer.text, word) for word in words) for answer in answers)
        return wrong / len(examples)

    def no_gradients(self) -> AbstractContextManager[Any]:
        """Surround every forward pass."""
        return torch.inference_mode()

    def _precision(self) -> AbstractContextManager[None]:
        """Compute as in training."""
        return nullcontext() if self.encoder is None else autocast(self.encoder.device, self.dtype)

    def _encoder(self) -> Encoder:
        assert self.encoder is not None, "only a method with a language model scores by logits"
        return self.encoder


def _begins_with(answer: str, word: str) -> bool:
    text = answer.strip().lower()
    return text.startswith(word) and not text[len(word) : len(word) + 1].isalnum()
