"""A base model without its weights: built from its configuration on the meta device."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.core.errors import BadInput, Unavailable, did_you_mean
from bench.datasets.examples import Example
from bench.datasets.splits import Splits
from bench.models import models
from bench.models.conversion import quiet
from bench.models.kinds import Kind
from bench.models.language_model import LanguageModel
from bench.models.loading import context_length, count_parameters
from bench.planning.configurations import find, published

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.models.heads import Head


def weightless(name: str) -> LanguageModel:
    """Return a base model on the meta device: every shape, no value, no memory.

    Args:
        name: a model of `bench.planning.configurations`, a name that ``bench list models`` lists, an id of
            the hub, or a folder with a ``config.json``.

    Raises:
        BadInput: nothing of that name.
        Unavailable: its configuration would have to be fetched, and cannot be.
    """
    return built(name, model_config(name))


def built(name: str, fields: Mapping[str, Any]) -> LanguageModel:
    """Return a model on the meta device from the fields of its ``config.json``; ``name`` begins messages."""
    from transformers import AutoConfig

    with quiet():
        try:
            config = AutoConfig.for_model(**fields)
            kind = Kind.of(config)
            with torch.device("meta"):
                network = kind.auto_class.from_config(config)
        except (ValueError, TypeError) as error:  # an unknown kind of model, an encoder, a vision model, ...
            raise BadInput(f"{name}: {str(error).splitlines()[0]}") from error
    head, embedding = network.get_output_embeddings(), network.get_input_embeddings()
    if head is not None and fields.get("tie_word_embeddings") is False and head.weight is embedding.weight:
        # transformers 5 makes T5's head one with its embedding, whatever is asked for, until a checkpoint such as
        # T5 v1.1's comes with a head of its own, which is then kept.
        head.weight = torch.nn.Parameter(torch.empty_like(head.weight))
    network.requires_grad_(False)
    network.eval()
    return LanguageModel(
        network=network,
        tokenizer=WordCounter(config.get_text_config().vocab_size),  # type: ignore[arg-type]
        kind=kind,
        parameters=count_parameters(network),
        context_length=context_length(config, network),
        revision="configuration",
        head=None if kind.generates else _head(network, name),
    )


def _folder(name: str) -> Path:
    """Return where a model of the registry is kept; any other name is read as a path."""
    if name not in models or models.get(name).model_fields:
        return Path(name).expanduser()
    source = models.build(name, {}, f"model {name}")
    if not source.ready():
        raise Unavailable(f"model {name}: its configuration comes with its weights, which are not here yet")
    return source.folder()


def _head(network: PreTrainedModel, name: str) -> Head:
    """Find an encoder's head: what its weights lack, if they are here; else what a masked language model would lack."""
    from safetensors import safe_open

    from bench.models.heads import expected_head, find_head, untrained_poolers

    try:
        files = sorted(_folder(name).glob("*.safetensors"))
    except Unavailable:
        files = []
    if not files:
        return expected_head(network)
    there: set[str] = set()
    for file in files:
        with safe_open(file, "pt") as weights:
            names = weights.keys()
            there.update(names)
            biases = {name: weights.get_tensor(name) for name in names if name.endswith("pooler.dense.bias")}
            there.difference_update(untrained_poolers(biases))
    body = f"{network.base_model_prefix}."
    needed = (name for name, _ in network.named_parameters())
    return find_head(network, [name for name in needed if not {name, name.removeprefix(body)} & there])


def model_config(name: str) -> dict[str, Any]:
    """Return the configuration of a model as its ``config.json`` has it; see `weightless`."""
    from transformers import PreTrainedConfig

    known = find(name)
    if known is not None:
        return known.config
    folder = _folder(name)
    if (folder / "config.json").is_file():
        try:
            return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        except ValueError as error:
            raise BadInput(f"{folder / 'config.json'}: not JSON: {error}") from None
    if "/" not in name:
        raise BadInput(
            f"unknown model '{name}'{did_you_mean(name, published())} (a model that ships with its configuration: "
            f"{', '.join(published())}; an id of the hub; or a folder with a config.json)"
        )
    try:
        with quiet():
            return dict(PreTrainedConfig.get_config_dict(name)[0])
    except Exception as error:  # which network errors there are differs between releases of the hub client
        raise Unavailable(
            f"model {name}: no configuration of it ships with promptscale, and the hub cannot be asked for it "
            f"({type(error).__name__})"
        ) from error


class WordCounter:
    """Stands in for a tokenizer where only the number of tokens could matter: a token a word, all of them 0."""

    all_special_ids: Sequence[int] = ()
    all_special_tokens: Sequence[str] = ()
    pad_token_id = eos_token_id = bos_token_id = unk_token_id = 0
    padding_side = "right"

    def __init__(self, size: int) -> None:
        self.vocab_size = size

    def __len__(self) -> int:
        return self.vocab_size

    def __call__(self, text: str | Sequence[str], **_: Any) -> dict[str, Any]:
        """Return as many zeros as there are words."""
        texts = [text] if isinstance(text, str) else text
        ids = [[0] * max(1, len(one.split())) for one in texts]
        masks = [[1] * len(one) for one in ids]
        return {
            "input_ids": ids[0] if isinstance(text, str) else ids,
            "attention_mask": masks[0] if isinstance(text, str) else masks,
        }

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        """Return a text of so many words."""
        return " ".join(["word"] * len(ids))


class ReadsAsZero(TorchDispatchMode):
    """Lets a method read values of weights that are not there, such as the embeddings of its first prompt: zeros."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Answer what the meta device refuses."""
        kwargs = kwargs or {}
        first = args[0] if args else None
        on_meta = isinstance(first, torch.Tensor) and first.is_meta
        ops = torch.ops.aten
        if on_meta and func is ops._local_scalar_dense.default:
            return 0
        if on_meta and func is ops.equal.default:
            return True
        if on_meta and func is ops._to_copy.default and torch.device(kwargs.get("device") or "meta").type != "meta":
            assert isinstance(first, torch.Tensor)
            return torch.zeros(first.shape, dtype=kwargs.get("dtype") or first.dtype, device=kwargs["device"])
        if func is ops.copy_.default and not on_meta and args[1].is_meta:
            return args[0].zero_()
        return func(*args, **kwargs)


def stand_in_data(labels: tuple[str, ...] = ("no", "yes"), each: int = 64) -> Splits:
    """Return splits for methods that look at their data: ``each`` examples of each label a split, of one word each."""
    rows = [Example(f"{n:016x}", f"word{n}", n % len(labels)) for n in range(3 * each * len(labels))]
    third = each * len(labels)
    return Splits(
        train=tuple(rows[:third]),
        validation=tuple(rows[third : 2 * third]),
        test=tuple(rows[2 * third :]),
        labels=labels,
        revision="stand-in",
        duplicates=0,
    )
