"""Which way a batch goes through a network: the fastest that is exact for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor
from transformers import PreTrainedModel

from bench.core.errors import Infeasible
from bench.forward.batch import Batch
from bench.forward.checkpointing import is_checkpointed
from bench.forward.decoding import CachedDecoder, CachedEncoderDecoder, Decoding, Recomputed, can_cache
from bench.forward.packed import can_pack, can_pack_behind_prefix, packed_logits
from bench.forward.padded import class_logits, plain_logits, prompted_logits
from bench.forward.shared_prefix import KeysAndValues, can_share, expanded, prefix_of, shared_prefix_logits
from bench.forward.trial import depends_on_padding, takes_prompts


@dataclass(frozen=True)
class Pathway:
    """The way of one network.

    packed: the whole batch in one row, shared beginnings once (`bench.forward.packed`).
    shared prefix: examples padded, what stands before them once (`bench.forward.shared_prefix`).
    padded: as PEFT does it, a prompt before every example.
    classes: the same of an encoder, whose head has a row of logits over the labels for every example.
    """

    network: PreTrainedModel
    name: Literal["packed", "shared prefix", "padded", "classes"]
    prompts: bool = True
    """Whether input embeddings can stand before the examples."""
    prefixes: bool = False
    """Whether keys and values computed once can stand in for a prompt, and go the same way."""

    @classmethod
    def of(cls, network: PreTrainedModel) -> Pathway:
        """Choose the way for a network, with whatever a method has put into it.

        It is tried in the precision of the moment: choose under the autocast under which batches will run.

        Raises:
            Infeasible: transformers' own forward of this family does not stand padding on the right.
        """
        if network.get_output_embeddings() is None:  # no head over a vocabulary
            return cls(network, "classes")
        if network.config.is_encoder_decoder:
            return cls(network, "padded")
        prompts = takes_prompts(network)
        if prompts and can_pack(network):
            return cls(network, "packed", True, can_pack_behind_prefix(network))
        if depends_on_padding(network):
            raise Infeasible(
                f"{type(network).__name__} gives an example other logits in a padded batch than alone, so its results "
                "would depend on the batches; choose another model"
            )
        # A layer that is checkpointed takes no keys and values from outside while it trains.
        shares = prompts and not is_checkpointed(network) and can_share(network)
        return cls(network, "shared prefix" if shares else "padded", prompts, shares)

    @property
    def shares_prompt(self) -> bool:
        """Whether what stands before all examples of a batch is run once for them, not once for each."""
        return self.name in ("packed", "shared prefix")

    @cached_property
    def caches(self) -> bool:
        """Whether keys and values of a text can be kept while an answer to it grows; tried once, and only if asked."""
        return can_cache(self.network, self.prompts, self.prefixes)

    def prefix_of(self, prompt: Tensor) -> KeysAndValues | None:
        """Run input embeddings [P, E] once, for the batches to come; None where that is not exact."""
        return prefix_of(self.network, prompt) if self.prefixes else None

    def logits(self, batch: Batch, prompt: Tensor | None = None, prefix: KeysAndValues | None = None) -> Tensor:
        """Return the float32 logits [N, V] at the batch's positions, in row-major order; of an encoder [B, C].

        Args:
            batch: the examples.
            prompt: input embeddings [P, E] before every example.
            prefix: keys and values before every example, instead of a prompt.

        Raises:
            Infeasible: transformers takes no prompt here, or would leave the prefix out, for the network's layers are
                checkpointed.
        """
        if prompt is not None and not self.prompts:
            raise Infeasible(
                f"{type(self.network).__name__} takes no input embeddings before its tokens; use a method without a "
                "prompt, such as lora, or another model"
            )
        if self.name == "packed" and (prefix is None or self.prefixes):
            return packed_logits(self.network, prompt, batch, prefix)
        if prefix is not None and self.network.training and is_checkpointed(self.network):
            raise Infeasible(
                f"runtime.gradient_checkpointing: the layers of {type(self.network).__name__} take no prefix then"
            )
        if self.name == "classes":
            return class_logits(self.network, batch, prompt, expanded(prefix, len(batch)) if prefix else None)
        if prefix is None and prompt is not None:
            if self.name == "padded":
                return prompted_logits(self.network, prompt, batch)
            prefix = prefix_of(self.network, prompt)
        if prefix is None:
            return plain_logits(self.network, batch)
        return shared_prefix_logits(self.network, prefix, batch)

    def decoding(self, batch: Batch, prompt: Tensor | None = None, prefix: KeysAndValues | None = None) -> Decoding:
        """Begin the answers to a batch, of which every example's last position is asked for; see `logits`."""
        if not self.caches:
            return Recomputed(lambda longer: self.logits(longer, prompt, prefix), batch)
        if self.network.config.is_encoder_decoder:
            return CachedEncoderDecoder(self.network, batch, prompt)
        return CachedDecoder(self.network, batch, prompt, prefix)
