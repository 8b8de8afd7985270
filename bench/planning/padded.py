"""How PEFT with the Trainer of transformers runs a decoder, to be traced beside our own way.

Examples are padded to the longest, what stands before them is run with each, and there are logits at every position.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from bench.forward.batch import Batch
from bench.forward.pathway import Pathway
from bench.forward.shared_prefix import KeysAndValues
from bench.training.answers import Pair
from bench.training.device import autocast
from bench.training.step import Stepper


class PaddedWay(Pathway):
    """The way of a decoder through PEFT; the logits are those of all positions, [B, P + L, V]."""

    def logits(self, batch: Batch, prompt: Tensor | None = None, prefix: KeysAndValues | None = None) -> Tensor:
        """Return the float32 logits of every position, the prompt's too."""
        rows, mask = len(batch), batch.attention_mask
        embedded = self.network.get_input_embeddings()(batch.input_ids)
        past = None
        if prompt is not None:
            embedded = torch.cat([prompt.to(embedded.dtype).expand(rows, -1, -1), embedded], 1)
        if prefix is not None:
            past = DynamicCache([(keys.repeat(rows, 1, 1, 1), values.repeat(rows, 1, 1, 1)) for keys, values in prefix])
        before = 0 if prompt is None else len(prompt)
        before += 0 if prefix is None else prefix[0][0].shape[-2]
        logits: Tensor = self.network(
            inputs_embeds=embedded,
            attention_mask=torch.cat([mask.new_ones(rows, before), mask], 1),
            past_key_values=past,
            use_cache=past is not None,
        ).logits
        return logits.float()


class PaddedStepper(Stepper):
    """Takes steps with the loss over all positions, most of which are ignored."""

    def _accumulate(self, pairs: Sequence[Pair]) -> tuple[float, int]:
        size = math.ceil(len(pairs) / self._settings.gradient_accumulation_steps)
        supervised, total, tokens = sum(len(target) for _, target in pairs), 0.0, 0
        for start in range(0, len(pairs), size):
            batch = self.encoder.batch(pairs[start : start + size])
            with autocast(self.encoder.device, self._dtype):
                logits = self.tuned.logits(batch)
            targets = torch.full(logits.shape[:2], -100)
            targets[:, logits.shape[1] - batch.positions.shape[1] :][batch.positions] = batch.targets
            loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / supervised
            loss.backward()
            total += loss.item()
            tokens += int(batch.attention_mask.sum())
        return total, tokens
