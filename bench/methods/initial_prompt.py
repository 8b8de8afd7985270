"""Where a trained prompt begins (Lester et al., 2021, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.core.errors import Infeasible
from bench.methods.tokens import label_tokens

if TYPE_CHECKING:
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel

FREQUENT_TOKENS = 5000
"""Lester et al. draw from the 5,000 most common tokens; vocabularies are sorted by frequency."""


def initial_tokens(
    base: LanguageModel, dataset: Splits, text: str | None, special_tokens: bool, length: int
) -> list[int]:
    """Return the tokens of an initial text, trimmed or repeated to ``length``.

    Args:
        base: its tokenizer is asked.
        dataset: its label words, if there are such, are named where no text is given.
        text: the text, if one is given.
        special_tokens: whether it has those that the tokenizer puts around a text.
        length: P.

    Raises:
        Infeasible: the text has no tokens.
    """
    if not text:
        words = ", ".join(dataset.labels)
        text = f"Answer with one of these words: {words}." if words else "Write the right answer."
    return _repeated(_tokens(base, text, special_tokens), length)


def embed(base: LanguageModel, ids: Sequence[int] | Tensor) -> Tensor:
    """Return the rows [n, E] that the network's layers would see for ``ids``, float32, on the CPU."""
    # Through the module, not its weight: some families scale embeddings on the way out.
    with torch.no_grad():
        rows: Tensor = base.network.get_input_embeddings()(torch.as_tensor(ids, device=base.device))
    return rows.float().cpu()


def random_rows(base: LanguageModel, scale: str, length: int, generator: torch.Generator) -> Tensor:
    """Draw a prompt [P, E] by the ``init_scale`` of `bench.methods.prompt_tuning.PromptTuning`."""
    width = embed(base, [0]).shape[1]
    if scale == "uniform":
        return torch.rand(length, width, generator=generator) - 0.5
    rows = torch.randn(length, width, generator=generator)
    if scale == "normal":
        return rows
    # In parts: all rows of a large vocabulary at once are a copy of the model's largest matrix.
    parts = torch.arange(count := _rows(base)).split(4096)
    mean_norm = sum(float(embed(base, part).norm(dim=1).sum()) for part in parts) / count
    scaled: Tensor = rows * (mean_norm / rows.norm(dim=1, keepdim=True))
    return scaled


def label_ids(base: LanguageModel, dataset: Splits, word: str) -> list[int]:
    """Return a label word's tokens as the model is asked for them: behind the template, or else alone.

    Raises:
        Infeasible: it has none.
    """
    if not base.kind.continues:
        return _tokens(base, word, special_tokens=False)
    ids = label_tokens(base.tokenizer, dataset.template, word)
    if not ids:
        raise Infeasible(f"the label word {word!r} has no tokens in this model's vocabulary")
    return ids


def vocabulary_tokens(base: LanguageModel, which: str, length: int, generator: torch.Generator) -> list[int]:
    """Draw ``length`` different tokens (as far as there are) that are no special ones, ``frequent`` or ``all``."""
    special = set(base.tokenizer.all_special_ids)
    rows = min(len(base.tokenizer), _rows(base))
    if which == "frequent":
        rows = min(rows, FREQUENT_TOKENS + len(special))
    known = [i for i in range(rows) if i not in special]
    order = torch.randperm(len(known), generator=generator).tolist()
    return _repeated([known[i] for i in order], length)


def _tokens(base: LanguageModel, text: str, special_tokens: bool) -> list[int]:
    ids: list[int] = base.tokenizer(text, add_special_tokens=special_tokens)["input_ids"]
    if not ids:
        raise Infeasible(f"the initial text {text!r} has no tokens in this model's vocabulary")
    return ids


def _repeated(ids: list[int], length: int) -> list[int]:
    return (ids * (length // len(ids) + 1))[:length]


def _rows(base: LanguageModel) -> int:
    """Return the rows of the vocabulary's embedding."""
    count: int = base.network.get_input_embeddings().num_embeddings  # type: ignore[assignment]
    return count
