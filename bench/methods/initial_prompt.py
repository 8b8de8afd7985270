"""Where a trained prompt begins (Lester et al., 2021, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.core.errors import Infeasible
from bench.methods.tokens import label_tokens

if TYPE_CHECKING:
    from bench.datasets.splits import Splits
    from bench.models.language_model import LanguageModel

FREQUENT_TOKENS = 5000
"""Lester et al. draw from the 5,000 most common tokens; vocabularies are sorted by frequency."""


def initial_prompt(
    base: LanguageModel,
    dataset: Splits,
    seed: int,
    length: int,
    init: str,
    *,
    text: str | None = None,
    special_tokens: bool = False,
    scale: str = "uniform",
    vocabulary: str = "frequent",
) -> Tensor:
    """Return the initial prompt [P, E], float32; the options are those of `bench.methods.prompt_tuning.PromptTuning`.

    Args:
        base: its embeddings and its tokenizer are read.
        dataset: its label words and the end of its template are read.
        seed: seeds whatever is drawn.
        length: P.
        init: ``random``, ``text``, ``vocab`` or ``labels``.
        text: for ``text``; None names the label words.
        special_tokens: whether the text has those of the tokenizer around it.
        scale: for ``random``: ``uniform``, ``normal`` or ``vocab_norm``.
        vocabulary: what ``vocab`` and ``labels`` draw from: ``frequent`` or ``all``.
    """
    embedding = base.network.get_input_embeddings()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        if init == "random":
            return _random(scale, embedding, length, generator)
        # Through the module, not its weight: some families scale embeddings on the way out.
        if init == "text":
            ids = text_tokens(base, text or default_text(dataset.labels), special_tokens)
            return embed(embedding, repeated(ids, length))
        drawn = embed(embedding, _from_vocabulary(base, length, generator, vocabulary))
        if init == "labels":
            words = [embed(embedding, _label_ids(base, dataset, word)).mean(0) for word in dataset.labels[:length]]
            drawn[: len(words)] = torch.stack(words)
        return drawn


def default_text(labels: tuple[str, ...]) -> str:
    """Return the text that stands in where no initial text is given: it names the label words, if there are such."""
    if not labels:
        return "Write the right answer."
    return f"Answer with one of these words: {', '.join(labels)}."


def text_tokens(base: LanguageModel, text: str, special_tokens: bool) -> list[int]:
    """Return a text's tokens, with or without the special tokens that the tokenizer puts around it.

    Raises:
        Infeasible: the text has none.
    """
    ids: list[int] = base.tokenizer(text, add_special_tokens=special_tokens)["input_ids"]
    if not ids:
        raise Infeasible(f"the initial text {text!r} has no tokens in this model's vocabulary")
    return ids


def embed(embedding: nn.Module, ids: list[int]) -> Tensor:
    """Return the rows [n, E] that the network's layers would see for ``ids``, float32, on the CPU."""
    device = next(embedding.parameters()).device
    rows: Tensor = embedding(torch.tensor(ids, device=device))
    return rows.detach().float().cpu()


def repeated(ids: list[int], length: int) -> list[int]:
    """Trim or repeat ``ids`` to ``length`` tokens."""
    return (ids * (length // len(ids) + 1))[:length]


def _random(scale: str, embedding: nn.Module, length: int, generator: torch.Generator) -> Tensor:
    width = embed(embedding, [0]).shape[1]
    if scale == "uniform":
        return torch.rand(length, width, generator=generator) - 0.5
    rows = torch.randn(length, width, generator=generator)
    if scale == "normal":
        return rows
    scaled: Tensor = rows * (mean_row_norm(embedding) / rows.norm(dim=1, keepdim=True))
    return scaled


def mean_row_norm(embedding: nn.Module) -> float:
    """Return the mean norm of the vocabulary's embeddings as the network's layers see them."""
    count = rows_of(embedding)
    # In parts: all rows of a large vocabulary at once are a copy of the model's largest matrix.
    parts = torch.arange(count).split(4096)
    return sum(float(embed(embedding, part.tolist()).norm(dim=1).sum()) for part in parts) / count


def rows_of(embedding: nn.Module) -> int:
    """Return the rows of a vocabulary's embedding."""
    count: int = embedding.num_embeddings  # type: ignore[assignment]
    return count


def _label_ids(base: LanguageModel, dataset: Splits, word: str) -> list[int]:
    """Return a label word's tokens as the model is asked for them: behind the template, or else alone."""
    if not base.kind.continues:
        return text_tokens(base, word, special_tokens=False)
    ids = label_tokens(base.tokenizer, dataset.template, word)
    if not ids:
        raise Infeasible(f"the label word {word!r} has no tokens in this model's vocabulary")
    return ids


def _from_vocabulary(base: LanguageModel, length: int, generator: torch.Generator, which: str) -> list[int]:
    """Draw ``length`` different tokens (as far as there are) that are no special tokens."""
    special = set(base.tokenizer.all_special_ids)
    rows = min(len(base.tokenizer), rows_of(base.network.get_input_embeddings()))
    if which == "frequent":
        rows = min(rows, FREQUENT_TOKENS + len(special))
    known = [i for i in range(rows) if i not in special]
    order = torch.randperm(len(known), generator=generator).tolist()
    return repeated([known[i] for i in order], length)
