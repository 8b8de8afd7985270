"""Tiny random models of many families behind one small tokenizer: all that is real about a model but its size."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from bench.datasets.examples import Example
from bench.datasets.splits import Splits
from bench.models.heads import expected_head
from bench.models.kinds import Kind
from bench.models.language_model import LanguageModel
from bench.models.loading import context_length, count_parameters
from bench.training.encoding import Encoder

CAUSAL = ("llama", "gpt2", "gpt_neox", "bloom", "opt", "gemma3", "qwen2")
FAMILIES = (*CAUSAL, "t5")
"""Models that answer with words."""
ENCODERS = ("bert", "roberta", "distilbert", "mpnet")
"""Models that answer by a classification head."""

SPECIALS = ("<s>", "</s>", "<pad>", "<unk>")
# "Ġ" is a space and "Ċ" a new line, as byte-level tokenizers write them.
LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,:?!", "Ġ", "Ċ"]
WORDS = ("Ġyes", "Ġno", "Ġgood", "Ġbad", "Ċtype", "the")
"""Words that are one token each; all others fall into letters."""
VOCABULARY = 112
TEMPLATE = "{text}\ntype:"

# A wide initialisation: with the usual one, random networks answer alike to everything, and a test would not notice
# what it is to notice.
SPREAD: dict[str, Any] = {"initializer_range": 0.2}
IDS: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 48, **SPREAD}
LENGTH = {"max_position_embeddings": 256}
SILENT = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
WINDOWS = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
OPT = {"hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 2}
DISTILBERT = {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4, "dropout": 0.0, "attention_dropout": 0.0}
CONFIGS: dict[str, dict[str, Any]] = {
    # two heads share keys and values
    "llama": {**LAYERS, **LENGTH, "num_key_value_heads": 2},
    # learned positions, Conv1D
    "gpt2": {**SPREAD, **SILENT, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    # parallel residual, part of each head rotated
    "gpt_neox": {**LAYERS, **LENGTH},
    # ALiBi: positions come from the attention mask
    "bloom": {**SPREAD, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    # learned positions, counted over the attention mask
    "opt": {**LENGTH, **OPT, "init_std": 0.2, "dropout": 0.0},
    # scaled embeddings; a sliding window shorter than prompt and input
    "gemma3": {**LAYERS, **LENGTH, **WINDOWS, "model_type": "gemma3_text", "num_key_value_heads": 1, "head_dim": 8},
    # biases in the attention
    "qwen2": {**LAYERS, **LENGTH, "num_key_value_heads": 2},
    "t5": {**T5, "feed_forward_proj": "gated-gelu", "dropout_rate": 0.0},
    # a pooler behind the first token
    "bert": {**LAYERS, **LENGTH, **STILL},
    # positions counted from behind the padding token; a head of two layers
    "roberta": {**LAYERS, **LENGTH, **STILL},
    # a head of two modules; takes no keys and values
    "distilbert": {**LENGTH, **SPREAD, **DISTILBERT, "seq_classif_dropout": 0.0},
    # relative positions as well, shared by all layers; no kinds of tokens
    "mpnet": {**LAYERS, **LENGTH, **STILL},
}


@cache
def _network(family: str) -> PreTrainedModel:
    config = AutoConfig.for_model(**{"model_type": family, **IDS, **CONFIGS[family]})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        network = Kind.of(config).auto_class.from_config(config, dtype=torch.float32)
        # Norms and biases begin at ones and zeros, which hides mistakes.
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.data.add_(0.1 * torch.randn_like(parameter))
    return cast(PreTrainedModel, network.eval().requires_grad_(False))


def tiny_network(family: str = "llama") -> PreTrainedModel:
    """Return a network of its own, the same at every call."""
    return copy.deepcopy(_network(family))


def tiny_tokenizer(bos: bool = False, eos: bool = False) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE of about 80 tokens; ``bos`` and ``eos`` say which special tokens stand around a text."""
    merges, pieces = [], [*LETTERS]
    for word in WORDS:
        for end in range(2, len(word) + 1):
            merges.append((word[: end - 1], word[end - 1]))
            pieces.append(word[:end])
    vocabulary = {piece: index for index, piece in enumerate([*SPECIALS, *dict.fromkeys(pieces)])}
    backend = Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(merges)), unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    template = f"{'<s> ' if bos else ''}$A{' </s>' if eos else ''}"
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", 0), ("</s>", 1)])
    names = dict(zip(("bos_token", "eos_token", "pad_token", "unk_token"), SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names, padding_side="right")


def tiny_model(family: str = "llama", bos: bool = False) -> LanguageModel:
    """Return a frozen base model with its tokenizer, the same at every call."""
    both_ends = family in ENCODERS
    return handle(tiny_network(family), tiny_tokenizer(bos=bos or both_ends, eos=family == "t5" or both_ends))


def handle(network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> LanguageModel:
    """Put the project's handle around a network, as if the checkpoint of an encoder had no head."""
    kind = Kind.of(network.config)
    return LanguageModel(
        network=network,
        tokenizer=tokenizer,
        kind=kind,
        parameters=count_parameters(network),
        context_length=context_length(network.config, network),
        revision="tiny",
        head=None if kind.generates else expected_head(network),
    )


def tiny_encoder(base: LanguageModel, labels: tuple[str, ...] = ("yes", "no"), template: str = TEMPLATE) -> Encoder:
    """Return the encoder of a data set for a tiny model."""
    return Encoder(base, template, labels)


def example(index: int, words: str, label: int) -> Example:
    """Return an example of a text."""
    return Example(f"{index:016x}", TEMPLATE.format(text=words), label)


def tiny_examples(number: int, classes: int = 2, seed: int = 0) -> tuple[Example, ...]:
    """Return examples whose first letter says the label, of 1 to 20 letters after it."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for index in range(number):
        length = int(torch.randint(1, 20, (), generator=generator))
        tail = "".join("klmnop"[i] for i in torch.randint(0, 6, (length,), generator=generator).tolist())
        rows.append(example(index + 1000 * seed, "abcd"[index % classes] + tail, index % classes))
    return tuple(rows)


def tiny_splits(labels: tuple[str, ...] = ("yes", "no"), train: int = 24) -> Splits:
    """Return splits whose labels can be learned from the first letter: ``train``, 11 and 7 examples."""
    first, second, third = (tiny_examples(n, len(labels), seed) for n, seed in ((train, 1), (11, 2), (7, 3)))
    return Splits(first, second, third, labels=labels, revision="tiny", duplicates=0, template=TEMPLATE)


def state_of(network: PreTrainedModel) -> dict[str, object]:
    """Return all of a network that a method might leave changed; compare by `same_state`."""
    return {
        "modules": [(name, type(module), id(module)) for name, module in network.named_modules()],
        "parameters": {name: (id(p), p.detach().clone()) for name, p in network.named_parameters()},
        "buffers": {name: b.detach().clone() for name, b in network.named_buffers()},
        "frozen": all(not p.requires_grad and p.grad is None for p in network.parameters()),
        "training": [name for name, module in network.named_modules() if module.training],
        "hooks": [name for name, m in network.named_modules() if m._forward_hooks or m._forward_pre_hooks],
        "attributes": {name: sorted(vars(module)) for name, module in network.named_modules()},
        "config": network.config.to_dict(),
    }


def assert_same_state(network: PreTrainedModel, before: dict[str, object]) -> None:
    """Compare bit for bit what `state_of` returned with what is there now."""
    after = state_of(network)
    for kind in ("modules", "frozen", "training", "hooks", "attributes", "config"):
        assert after[kind] == before[kind], kind
    for kind in ("parameters", "buffers"):
        assert after[kind].keys() == before[kind].keys()  # type: ignore[attr-defined]
    for name, (identity, value) in before["parameters"].items():  # type: ignore[attr-defined]
        found, now = after["parameters"][name]  # type: ignore[index]
        assert found == identity, f"{name} is another tensor"
        assert torch.equal(now, value), f"{name} has changed"
    for name, value in before["buffers"].items():  # type: ignore[attr-defined]
        assert torch.equal(after["buffers"][name], value), f"{name} has changed"  # type: ignore[index]
