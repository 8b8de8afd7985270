"""Solved examples before the input, and contextual calibration."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from hashlib import sha256
from itertools import zip_longest
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor
from torch.nn import Parameter

from bench.core.errors import Infeasible
from bench.forward.batch import Batch
from bench.forward.decoding import Decoding
from bench.forward.padded import behind_tokens
from bench.methods.base import ByLogits
from bench.methods.tokens import Specials, after_template
from bench.methods.tuned.prompted import Prompted

if TYPE_CHECKING:
    from bench.datasets.examples import Example
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Inputs without content, those of Zhao et al. (2021), section 5."""
LENGTHS = 500
"""Training inputs whose lengths say what has to fit behind the examples."""


def drawn(dataset: Splits, shots: int, seed: int) -> list[Example]:
    """Draw examples from train, of each label as many as of any other as far as there are, in a shuffled order.

    Raises:
        Infeasible: train is smaller.
    """
    if shots > len(dataset.train):
        raise Infeasible(f"shots: train has {len(dataset.train)} examples, fewer than {shots}")
    generator = random.Random(seed)
    by_label: dict[int, list[Example]] = {}
    for example in generator.sample(dataset.train, len(dataset.train)) if shots else ():
        by_label.setdefault(example.label, []).append(example)
    labels = sorted(by_label)
    generator.shuffle(labels)
    rounds = zip_longest(*(reversed(by_label[label]) for label in labels))
    chosen = [example for one in rounds for example in one if example is not None][:shots]
    generator.shuffle(chosen)
    return chosen


class Demonstrations(Prompted):
    """A frozen model that reads solved examples before every input; nothing is trained.

    In a decoder their keys and values are computed once for a whole split, as those of a trained prompt.

    Args:
        base: the frozen base model.
        dataset: its template, its label words, and its train split, for the lengths of inputs.
        examples: the examples to show, in order; may be none.
        separator: what stands behind each.

    Raises:
        Infeasible: with them, half of the inputs do not fit into the context.
    """

    def __init__(self, base: LanguageModel, dataset: Splits, examples: Sequence[Example], separator: str) -> None:
        tokenizer, template = base.tokenizer, dataset.template
        text = "".join(f"{e.text}{after_template(template, dataset.right(e))}{separator}" for e in examples)
        # One beginning of text, before the examples: that of the input is taken away.
        self._beginning = Specials.of(tokenizer).before if examples else ()
        ids = [*self._beginning, *tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
        super().__init__(base, len(ids))
        self._ids = torch.tensor(ids, dtype=torch.long, device=base.device)
        if base.context_length is not None and examples:
            inputs = [e.text for e in dataset.train[:LENGTHS]]
            needed = median(map(len, tokenizer(inputs, add_special_tokens=False, verbose=False)["input_ids"]))
            if len(ids) + needed >= base.context_length:
                raise Infeasible(
                    f"shots: {len(examples)} examples take {len(ids):,} tokens and an input takes {needed:g} (the "
                    f"median of train), but this model's context is {base.context_length:,} positions"
                )

    @property
    def prompt(self) -> Tensor:
        """The embeddings [P, E] of the examples."""
        rows: Tensor = self.network.get_input_embeddings()(self._ids)
        return rows

    def trainable(self) -> dict[str, Parameter]:
        """Return nothing: the examples are what they are."""
        return {}

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Compute the examples' keys and values once for a whole split."""
        with super().evaluating() if self.virtual_tokens else nullcontext():
            yield

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits behind the examples."""
        if not self.virtual_tokens:
            return self.pathway.logits(batch)
        cut = self._without_beginning(batch)
        return self.pathway.logits(behind_tokens(self._ids, cut)) if self._by_tokens() else super().logits(cut)

    def decoding(self, batch: Batch) -> Decoding:
        """Begin the answers behind the examples."""
        if not self.virtual_tokens:
            return self.pathway.decoding(batch)
        cut = self._without_beginning(batch)
        return self.pathway.decoding(behind_tokens(self._ids, cut)) if self._by_tokens() else super().decoding(cut)

    def _by_tokens(self) -> bool:
        """Whether the examples go by their tokens, for embeddings cannot stand for them."""
        return not self.pathway.prompts and not self.network.config.is_encoder_decoder

    def _without_beginning(self, batch: Batch) -> Batch:
        begin = len(self._beginning)
        return replace(
            batch,
            input_ids=batch.input_ids[:, begin:],
            attention_mask=batch.attention_mask[:, begin:],
            positions=batch.positions if batch.decoder_input_ids is not None else batch.positions[:, begin:],
        )


class Calibrated(Demonstrations):
    """The same with contextual calibration (Zhao et al., 2021): what the model says without input is divided out."""

    def __init__(self, base: LanguageModel, dataset: Splits, examples: Sequence[Example], separator: str) -> None:
        super().__init__(base, dataset, examples, separator)
        self.set_dataset(dataset)

    def set_dataset(self, dataset: Splits) -> None:
        """Fill the data set's template with what has no content."""
        filled = [dataset.filled(content) for content in CONTENT_FREE]
        self._content_free = [text for text in filled if text.strip()]

    def score_labels(self, examples: Sequence[Example], by_logits: ByLogits) -> np.ndarray:
        """Return the log of the calibrated label probabilities, but for a constant an example: [n, C]."""
        if not examples:
            return by_logits(examples)
        empty = [
            replace(examples[0], id=sha256(text.encode()).hexdigest()[:16], text=text) for text in self._content_free
        ]
        without_content = softmax(by_logits(empty, of_split=False), axis=1).mean(0)
        calibrated: np.ndarray = log_softmax(by_logits(examples), axis=1) - np.log(without_content + 1e-12)
        return calibrated
