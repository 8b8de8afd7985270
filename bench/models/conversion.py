"""Weights of another format become a `transformers` folder in the cache, once.

A converted model loads in a fraction of the time (SmolLM2: 3 s instead of 22 s), can be trained and can be saved,
which a model that was loaded from a GGUF cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.config import content_hash
from bench.core.packages import cache_folder, locked, new_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONVERSION = 1
"""Part of every converted folder's name: raise it when a converter's output changes."""


def converted_path(name: str, *pins: str) -> Path:
    """Return where the conversion of a source, pinned by its hashes, stands or will stand."""
    return cache_folder() / "models" / f"{name}-{content_hash([CONVERSION, *pins])[:12]}"


def convert_once(path: Path, convert: Callable[[Path], None]) -> Path:
    """Return ``path``, after filling it by ``convert(folder)`` if it is not there yet.

    The folder appears whole or not at all, and of several processes one converts while the others wait.
    """
    if not path.is_dir():
        with locked(path):
            if not path.is_dir():  # another process may have made it while this one waited
                with new_folder(path) as folder:
                    convert(folder)
    return path


def convert_gguf(gguf: Path, folder: Path, tie_head: bool = False) -> None:
    """Write a GGUF file as float32 safetensors, with its tokenizer, into ``folder``.

    Args:
        gguf: the file; its quantised tensors are expanded, nothing is rounded.
        folder: where to write.
        tie_head: the file stores the output head apart from the embedding, although the model ties them:
            take the head, which is quantised more finely, for both.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The bar of the expansion asks nobody whether it may be shown: it is kept off the screen here.
    with quiet(), redirect_stderr(StringIO()):
        loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        config, state = loaded.config, loaded.state_dict()
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        if tie_head:
            config.tie_word_embeddings = True
            state["model.embed_tokens.weight"] = state["lm_head.weight"]
        # A network built on 'meta' takes over the tensors as they are: no second copy, no random start.
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        network.load_state_dict(state, strict=True, assign=True)
        network.tie_weights()
        save_converted(network, tokenizer, folder)


def save_converted(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write model and tokenizer as `transformers` reads them, without the name of where they came from."""
    network.config._name_or_path = ""
    # What a GGUF calls itself would be written as a key of its own.
    network.config.__dict__.pop("_model_name_or_path", None)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and advice of `transformers`, and retries of the hub, off the screen; errors still show."""
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging

    bars, level, hub_level = logging.is_progress_bar_enabled(), logging.get_verbosity(), hub.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    hub.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub.set_verbosity(hub_level)
        if bars:
            logging.enable_progress_bar()
