"""The trial of a way through a network: a few tokens, held against transformers' own padded forward.

What a family does with positions, masks and caches is known to its own code alone (ALiBi, for one, takes its biases
from a padding mask), so no way trusts a family's name: it compares. The trial is short, as it runs before every
training; what shows only in long inputs, as a sliding window does, is asked of the family's masks (see `packed`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bench.forward.batch import Batch
from bench.forward.padded import behind_tokens, plain_logits, prompted_logits

Logits = Callable[[], Tensor]


def trial_batch(network: PreTrainedModel) -> Batch:
    """Return three short examples.

    They have a trunk and a branch: without, relative positions come out right even where ours are not taken.
    """
    device = network.device
    rows = torch.tensor([[0, 1, 2, 3, 4, 0], [0, 1, 5, 6, 7, 0], [0, 1, 5, 6, 8, 9]], device=device)
    column = torch.arange(6, device=device)
    lengths = torch.tensor([5, 5, 6], device=device)[:, None]
    config = network.config.get_text_config(decoder=True)
    mask = column < lengths
    # Small ids that all vocabularies have; padding as the tokenizer does it, for there are families that look for it.
    ids = torch.where(mask, (3 + rows) % config.vocab_size, getattr(config, "pad_token_id", None) or 0)
    return Batch(ids, mask.long(), column == lengths - 1, lengths[:, 0])


def trial_prompt(network: PreTrainedModel) -> Tensor:
    """Return a prompt for the trial: the input embeddings [3, E] of other tokens than the examples'."""
    prompt: Tensor = network.get_input_embeddings()(_prompt_ids(network))
    return prompt.detach()


def agree(network: PreTrainedModel, ours: Logits, theirs: Logits) -> bool:
    """Whether two ways give the same logits; without gradients and without dropout.

    It is told in the precision of the moment: under autocast, if that is what surrounds the call.
    """
    return _gap(network, ours, theirs) <= (5e-2 if _rounds(network) else 1e-4)


def takes_prompts(network: PreTrainedModel) -> bool:
    """Whether input embeddings can stand in for tokens; some families look up more by a token's id, in every layer."""
    if getattr(network.config.get_text_config(decoder=True), "hidden_size_per_layer_input", 0):
        # Gemma 3n leaves out what it has no ids for. Gemma 4 looks for embeddings in its whole vocabulary, which takes
        # gigabytes, and fails for those of no token.
        return False
    batch, prompt = trial_batch(network), trial_prompt(network)
    return agree(
        network,
        lambda: prompted_logits(network, prompt, batch),
        lambda: plain_logits(network, behind_tokens(_prompt_ids(network), batch)),
    )


def depends_on_padding(network: PreTrainedModel) -> bool:
    """Whether examples get other logits in a batch that is padded on the right than alone."""
    batch = trial_batch(network)

    def alone() -> Tensor:
        rows = []
        for index, length in enumerate(batch.attention_mask.sum(1).tolist()):
            ids, mask, positions = (
                each[index : index + 1, :length] for each in (batch.input_ids, batch.attention_mask, batch.positions)
            )
            rows.append(plain_logits(network, Batch(ids, mask, positions, batch.targets)))
        return torch.cat(rows)

    # Wide in low precision, in which a batch of another shape may send a token to another expert.
    gap = _gap(network, lambda: plain_logits(network, batch), alone)
    return (0.15 if _rounds(network) else 1e-3) < gap < float("inf")


def _rounds(network: PreTrainedModel) -> bool:
    """Whether a forward pass computes in less than float32."""
    return network.dtype != torch.float32 or torch.is_autocast_enabled(network.device.type)


def _prompt_ids(network: PreTrainedModel) -> Tensor:
    vocabulary: int = network.config.get_text_config(decoder=True).vocab_size
    return torch.arange(13, 16, device=network.device) % vocabulary


def _gap(network: PreTrainedModel, ours: Logits, theirs: Logits) -> float:
    """Return how far apart the logits are, relative to the norm of theirs; infinity where one fails."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            one, other = ours(), theirs()
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a family's own code makes of what it was not written for
        return float("inf")
    finally:
        network.train(training)
        torch.clear_autocast_cache()  # weights that autocast has cast without a gradient would be used in training
    return float((one - other).norm() / other.norm())
