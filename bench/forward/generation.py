"""Free answers: greedy or drawn, in batches by length, until the end token, a stop text or the limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.core.errors import BadInput, Infeasible
from bench.core.heartbeat import beat
from bench.forward.batch import Batch, evaluation_batches
from bench.forward.decoding import Decoding
from bench.forward.settings import Generate

OnToken = Callable[[int, int], None]
"""Called with the index of an input and the next token of its answer, as soon as there is one."""


@dataclass(frozen=True)
class Generated:
    """An answer."""

    ids: tuple[int, ...]
    """All tokens that were generated, the end token among them."""
    text: str
    """Without special tokens, and without the stop text and what follows it."""
    ended: Literal["end", "stop", "limit"]
    """By the model's end token, at a stop text, or by `Generate.max_new_tokens`."""


def generate(
    begin: Callable[[Batch], Decoding],
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Sequence[Sequence[int]],
    settings: Generate,
    *,
    batch_size: int,
    room: int | None,
    on_token: OnToken | None = None,
) -> list[Generated]:
    """Answer inputs, in their order, as `bench.methods.base.TunedModel.generate` says.

    The answers to a batch are begun by ``begin``. ``room`` are the positions for input and answer; None for any number.
    """
    ends = _Ends(network, tokenizer, settings)
    _check_room(network, inputs, settings, room)
    answers: list[Generated | None] = [None] * len(inputs)
    for rows in evaluation_batches([len(ids) for ids in inputs], batch_size):
        decoding = begin(_batch(network, tokenizer, [inputs[i] for i in rows]))
        ids: list[list[int]] = [[] for _ in rows]
        # Each input's own, so that its answer does not depend on the batches.
        generators = [np.random.default_rng((settings.seed, i)) for i in rows]
        open_rows = list(range(len(rows)))
        logits = decoding.first()
        while True:
            beat()
            chosen = _chosen(logits, settings, [generators[row] for row in open_rows])
            going = []
            for place, (row, token) in enumerate(zip(open_rows, chosen.tolist(), strict=True)):
                ids[row].append(token)
                if on_token is not None:
                    on_token(rows[row], token)
                answers[rows[row]] = ends.ended(ids[row])
                if answers[rows[row]] is None:
                    going.append(place)
            if not going:
                break
            if len(going) < len(open_rows):
                kept = torch.tensor(going, device=chosen.device)
                decoding.keep(kept)
                chosen = chosen[kept]
                open_rows = [open_rows[place] for place in going]
            logits = decoding.step(chosen)
    return [answer for answer in answers if answer is not None]


class _Ends:
    """When an answer ends."""

    def __init__(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: Generate) -> None:
        self._tokenizer, self._limit = tokenizer, settings.max_new_tokens
        self._stop_tokens: set[int] = set()
        self._stop_texts: list[str] = []
        for text in settings.stop:
            self._add(text)
        # An answer's last tokens: of a character there are four bytes at most, and a token is one at least.
        self._tail = max((len(text.encode()) for text in self._stop_texts), default=0) + 8
        config = network.generation_config or network.config
        own = getattr(config, "eos_token_id", None)
        self._ends = {*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id} - {None} - self._stop_tokens

    def _add(self, text: str) -> None:
        alone = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(alone) == 1 and alone[0] in self._tokenizer.all_special_ids and alone[0] != self._tokenizer.unk_token_id:
            self._stop_tokens.add(alone[0])
            return
        made = self._text(self._tokenizer(f"a{text}a", add_special_tokens=False)["input_ids"])
        if text not in made:
            raise BadInput(
                f"generate.stop: {text!r} cannot come out of this model's tokenizer; it makes {made[1:-1]!r}"
            )
        self._stop_texts.append(text)

    def ended(self, ids: list[int]) -> Generated | None:
        """Return the answer if its last token has ended it."""
        if ids[-1] in self._ends or ids[-1] in self._stop_tokens:
            return Generated(tuple(ids), self._text(ids[:-1]), "end" if ids[-1] in self._ends else "stop")
        if self._stop_texts and any(text in self._text(ids[-self._tail :]) for text in self._stop_texts):
            whole = self._text(ids)
            if found := [at for text in self._stop_texts if (at := whole.find(text)) >= 0]:
                return Generated(tuple(ids), whole[: min(found)], "stop")
        return Generated(tuple(ids), self._text(ids), "limit") if len(ids) == self._limit else None

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))


def _check_room(
    network: PreTrainedModel, inputs: Sequence[Sequence[int]], settings: Generate, room: int | None
) -> None:
    for index, ids in enumerate(inputs):
        if not ids:
            raise BadInput(f"generate: input {index} has no tokens; give it a text")
    if room is None or not inputs:
        return
    longest, new = max(map(len, inputs)), settings.max_new_tokens
    # The last token of an answer is not run: nothing is asked behind it.
    needed = max(longest, new) if network.config.is_encoder_decoder else longest + new - 1
    if needed > room:
        raise Infeasible(
            f"generate.max_new_tokens: an input of {longest:,} tokens and an answer of {new:,} do not fit into the "
            f"{room:,} positions that this model and method have for both"
        )


def _batch(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[int]]) -> Batch:
    """Return a batch that asks for the token behind each input."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[tokenizer.pad_token_id] * (width - len(row))] for row in rows], device=network.device)
    lengths = torch.tensor([len(row) for row in rows], device=network.device)[:, None]
    column = torch.arange(width, device=network.device)
    mask, targets = (column < lengths).long(), torch.zeros_like(lengths[:, 0])
    if not network.config.is_encoder_decoder:
        return Batch(ids, mask, column == lengths - 1, targets)
    start = torch.full_like(lengths, network.config.decoder_start_token_id)
    return Batch(ids, mask, torch.ones_like(start, dtype=torch.bool), targets, start)


def _chosen(logits: Tensor, settings: Generate, generators: Sequence[np.random.Generator]) -> Tensor:
    """Return a token [B] for each row of logits [B, V]."""
    if settings.temperature == 0:
        return logits.argmax(-1)
    # In float64, and not on an accelerator, where two runs of one seed may differ.
    scaled = logits.double().cpu()
    scaled = (scaled - scaled.max(-1, keepdim=True).values) / settings.temperature
    ordered, tokens = torch.softmax(scaled, -1).sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    ordered = ordered.masked_fill(before >= settings.top_p, 0)
    summed = ordered.cumsum(-1)
    draws = torch.tensor([generator.random() for generator in generators], dtype=torch.float64)
    place = torch.searchsorted(summed, draws[:, None] * summed[:, -1:], right=True)
    last = (ordered > 0).sum(-1, keepdim=True) - 1
    return tokens.gather(1, torch.minimum(place, last))[:, 0].to(logits.device)
