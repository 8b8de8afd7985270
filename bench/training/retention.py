"""What a method costs a causal model's general ability: its loss on plain text, before and after training.

The text is cut as `lm-evaluation-harness` cuts one for rolling log-likelihoods with one token of context: windows
of W tokens, each behind the token before it, so that every token but the first is scored once. W does not depend on
the method: all methods on a model are measured on the same windows.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy

from bench.datasets.general_text import GeneralText, read_general_text
from bench.experiment.settings import RetentionText
from bench.methods.base import TunedModel
from bench.models.kinds import Kind
from bench.models.language_model import LanguageModel
from bench.runs.record import Retention
from bench.training.answers import Pair
from bench.training.encoding import Encoder
from bench.training.evaluation import Scorer
from bench.training.prepared import Prepared
from bench.training.session import Session

WINDOW = 256
"""Tokens of a window; half of the context where that is less: the other half is for virtual tokens."""
LOGITS = 2**25
"""Logits of one forward pass at most, but for those of a single window: 128 MiB in float32."""


def retention_before(
    asked: RetentionText, base: LanguageModel | None, encoder: Encoder | None, session: Session
) -> Retention:
    """Measure a base model as it is; once as long as it stays in memory.

    Raises:
        BadInput: the text cannot be read, or is too short.
    """
    if base is None or encoder is None:
        return Retention(reason="there is no language model")
    if base.kind is not Kind.CAUSAL:
        return Retention(reason=f"only a causal model has a loss on plain text, and this one is {base.kind.value}")
    text = read_general_text(asked.bytes, asked.path)
    pairs = windows(encoder, text.content, window_of(base))
    key = (text.sha256, encoder.specials)  # a chat's encoder puts none around a text
    if key not in session.bits_per_byte:
        plain = Scorer(TunedModel(base), encoder, None, 1)
        session.bits_per_byte[key] = bits_per_byte(plain, pairs, text)
    unknown = base.tokenizer.unk_token_id
    return Retention(
        before=session.bits_per_byte[key],
        text=text.name,
        text_sha256=text.sha256,
        bytes=text.bytes,
        tokens=sum(len(scored) for _, scored in pairs),
        unknown_tokens=sum(scored.count(unknown) for _, scored in pairs) if unknown is not None else 0,
        window=window_of(base),
    )


def retention_after(found: Retention | None, asked: RetentionText, prepared: Prepared) -> Retention:
    """Measure the trained model on the same windows, with whatever its method puts before a text in place."""
    if found is None:
        return Retention()
    if found.reason is not None or prepared.base is None or prepared.encoder is None:
        return found
    text = read_general_text(asked.bytes, asked.path)
    pairs = windows(prepared.encoder, text.content, found.window)
    limit, virtual = prepared.base.context_length, prepared.tuned.virtual_tokens
    needed = virtual + max(len(context) + len(scored) for context, scored in pairs)
    if limit is not None and needed > limit:
        reason = (
            f"a window of {needed - virtual} tokens does not fit behind {virtual} virtual ones in {limit} positions"
        )
        return found.model_copy(update={"reason": reason})
    return Retention(**dict(found) | {"after": bits_per_byte(prepared.scorer, pairs, text)})  # checked, as no copy is


def window_of(base: LanguageModel) -> int:
    """Return W for a model."""
    return WINDOW if base.context_length is None else max(1, min(WINDOW, base.context_length // 2))


def windows(encoder: Encoder, text: str, length: int) -> list[Pair]:
    """Cut a text into windows of ``length`` tokens; return the context of each, and its tokens."""
    (ids,) = encoder.ids_of([text])
    return [
        ([*encoder.specials.before, ids[start - 1]], ids[start : start + length])
        for start in range(1, len(ids), length)
    ]


def bits_per_byte(scorer: Scorer, pairs: list[Pair], text: GeneralText) -> float:
    """Return the negative log-likelihood (base 2) of all windows' tokens over the bytes of the text."""
    encoder, tuned = scorer.encoder, scorer.tuned
    assert encoder is not None, "a loss on plain text takes a language model"
    vocabulary = tuned.network.get_output_embeddings().weight.shape[0]
    together = max(1, LOGITS // (vocabulary * max(len(scored) for _, scored in pairs)))
    nats = 0.0
    with scorer.evaluating():
        for start in range(0, len(pairs), together):
            batch = encoder.batch(pairs[start : start + together])
            logits: torch.Tensor = tuned.logits(batch).float()
            nats += cross_entropy(logits, batch.targets, reduction="sum").item()
    return nats / math.log(2) / text.bytes
