"""Generated answers held against those of a peer, token for token."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

TIE = 1e-5
"""Two likeliest logits that are closer than this, relative, are a tie, which rounding decides."""


def random_inputs(lengths: Sequence[int], most: int = 80, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(4, most, (length,), generator=generator).tolist() for length in lengths]


def assert_same_tokens(ours: Sequence[int], theirs: Sequence[int], behind: Callable[[list[int]], Tensor]) -> None:
    """Compare two answers; behind a tie they may part.

    Args:
        ours: the tokens of ours.
        theirs: those of the peer.
        behind: the logits [V] behind the input and the beginning of an answer.
    """
    if list(ours) == list(theirs):
        return
    pairs = zip(ours, theirs, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
    first, second = behind(list(theirs[:at])).topk(2).values.tolist()
    assert first - second < TIE * abs(first), f"at token {at}: {list(ours)} and {list(theirs)}, {first} over {second}"
