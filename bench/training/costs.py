"""Memory and FLOPs of a cell before its weights are there: a lower bound, and a rule of thumb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn
from transformers import PreTrainedModel

from bench.forward.counting import weights_in
from bench.methods.base import TunedModel

if TYPE_CHECKING:
    from bench.experiment.settings import Training
    from bench.training.evaluation import Pass
    from bench.training.loop import TrainingResult

_FLOAT32 = 4
_STATE = 3 * _FLOAT32
"""Bytes a trained parameter besides itself: its gradient and the two moments of AdamW."""


@dataclass(frozen=True)
class Costs:
    """What a method on a model costs at least, and about.

    FLOPs are counted by the rule of Kaplan et al. (2020, arXiv:2001.08361, table 1 and section 2.1): a multiplication
    and an addition a parameter and token forward, 2 N, and twice that backward, 4 N. Of the latter, 2 N are the
    gradient of what went in, which runs through frozen weights too, and 2 a parameter the gradient of the trained
    weights themselves: 4 N a token where little is trained, 6 N in full fine-tuning. Attention's own products, norms
    and the optimizer are not counted; nothing is counted for a gradient that is never asked for below the lowest
    trained layer, either, so the sum is an upper bound there.
    """

    frozen: int
    """Parameters that are not trained."""
    trained: int
    """Parameters that are trained; always kept in float32."""
    body: int
    """Parameters of the matrices that every token of the text is multiplied with."""
    head: int
    """Those that only positions with an answer are multiplied with: the head's; of an encoder-decoder the decoder's
    as well."""
    one_sequence: bool = True
    """Whether text and answer are one sequence, so that there is a cost a token; not so in an encoder-decoder."""

    def memory_floor(self, bytes_per_weight: int = _FLOAT32) -> int:
        """Return the bytes that training needs for weights, gradients and AdamW moments alone.

        Activations come on top: they depend on batch size and length, and a trial measures them.

        Args:
            bytes_per_weight: of a frozen weight: 4 in float32, 2 in bfloat16.
        """
        return self.frozen * bytes_per_weight + self.trained * (_FLOAT32 + _STATE)

    def forward(self, tokens: float, answers: float) -> float:
        """Return the FLOPs of running so many tokens forward, with logits at so many positions."""
        return 2 * (self.body * tokens + self.head * answers)

    def training(self, tokens: float, answers: float) -> float:
        """Return the FLOPs of training on so many tokens, with a loss at so many positions; 0 if nothing is trained."""
        if not self.trained:
            return 0
        in_body = min(self.trained, self.body)
        in_head = min(self.trained - in_body, self.head)
        return 2 * self.forward(tokens, answers) + 2 * (in_body * tokens + in_head * answers)

    @property
    def forward_flops(self) -> float | None:
        """FLOPs of a forward pass by token, logits at each; None where there is no cost a token."""
        return self.forward(1, 1) if self.one_sequence else None

    @property
    def training_flops(self) -> float | None:
        """FLOPs of a training step by token, a loss at each; None where nothing is trained, or for an encoder-decoder.

        For a whole trial see `training`: there the head runs at the positions of the answers alone.
        """
        return self.training(1, 1) if self.one_sequence and self.trained else None


def costs_of(tuned: TunedModel) -> Costs:
    """Return the costs of an attached method; the meta device will do."""
    trained = sum(parameter.numel() for parameter in tuned.trainable().values())
    one_sequence = tuned.base.kind != "seq2seq"
    head = tuned.network.get_output_embeddings()
    if not one_sequence:
        body = matrix_parameters(tuned.network.get_encoder())
    else:
        body = matrix_parameters(tuned.network) - (head.weight.numel() if head is not None else 0)
    return Costs(
        frozen=max(0, tuned.base.parameters + tuned.added_parameters() - trained),
        trained=trained,
        body=body,
        head=matrix_parameters(tuned.network) - body,
        one_sequence=one_sequence,
    )


class Flops:
    """Estimates the FLOPs of a run with an attached method from the tokens that it ran.

    Real tokens are counted, no padding. A prompt counts where it is run: once a pass where examples share it, else
    with every example.
    """

    def __init__(self, tuned: TunedModel) -> None:
        self._costs = costs_of(tuned)
        self._prompt = tuned.virtual_tokens
        self._shared = tuned.pathway.shares_prompt

    def training(self, result: TrainingResult, settings: Training) -> float:
        """Return the FLOPs of the steps that were taken; validation is not among them."""
        parts = min(settings.batch_size, settings.gradient_accumulation_steps if self._shared else settings.batch_size)
        prompts = self._prompt * parts * len(result.train_curve)
        return float(self._costs.training(result.tokens + prompts, result.answers))

    def example(self, done: Pass) -> float:
        """Return the FLOPs of answering one example of a split; a prompt that all share is run once and left out."""
        examples = len(done.scores)
        prompt = 0 if self._shared else self._prompt
        return self._costs.forward(done.tokens / examples + prompt, done.answers / examples)


def matrix_parameters(network: nn.Module) -> int:
    """Count the parameters of all matrices, the head's among them; looking up an embedding multiplies nothing."""
    looked_up = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    found = {id(p): weights_in(p) for p in network.parameters() if p.dim() > 1 and id(p) not in looked_up}
    head = network.get_output_embeddings() if isinstance(network, PreTrainedModel) else None
    if head is not None:
        found[id(head.weight)] = head.weight.numel()  # tied or not
    return sum(found.values())
