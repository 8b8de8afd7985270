"""The tiny models that `bench.testing` ships for authors of plug-ins; our own tests stand on the same ones."""

from bench.testing.tiny import (
    CAUSAL,
    FAMILIES,
    SPECIALS,
    SPREAD,
    TEMPLATE,
    VOCABULARY,
    assert_same_state,
    example,
    handle,
    state_of,
    tiny_encoder,
    tiny_examples,
    tiny_model,
    tiny_network,
    tiny_splits,
    tiny_tokenizer,
)

__all__ = [
    "CAUSAL",
    "FAMILIES",
    "SPECIALS",
    "SPREAD",
    "TEMPLATE",
    "VOCABULARY",
    "assert_same_state",
    "example",
    "handle",
    "state_of",
    "tiny_encoder",
    "tiny_examples",
    "tiny_model",
    "tiny_network",
    "tiny_splits",
    "tiny_tokenizer",
]
