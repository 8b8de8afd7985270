"""A model folder in the format of `transformers`: what it must hold. Needs no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.core.config import content_hash
from bench.core.errors import BadInput
from bench.core.packages import cached_sha256
from bench.core.trust import Trusted

# Safetensors come first, for reading them runs no code. A name such as model.fp16.safetensors is a variant of the
# same weights, and consolidated.safetensors another format of them: neither is read, so neither is fetched.
_WEIGHTS = (
    ("model.safetensors", re.compile(r"model(?!\.(?!safetensors)).*\.safetensors")),
    ("pytorch_model.bin", re.compile(r"pytorch_model(?!\.(?!bin)).*\.bin")),
)
_TOKENIZER = re.compile(
    r"(tokenizer.*|spiece|vocab|sentencepiece.*|tekken|.*tiktoken)(\.json|\.model|\.txt|\.tiktoken)?"
)


def weight_names(names: Iterable[str]) -> list[str]:
    """Return which of a folder's file names are its weights: safetensors, or ``.bin`` where there are none."""
    names = sorted(names)
    for _, pattern in _WEIGHTS:
        found = [name for name in names if pattern.fullmatch(name)]
        if found:
            return found
    return []


def trusted_weights(names: Sequence[str], source: str, facts: dict[str, Any], pinned: bool, pin: str = "") -> Trusted:
    """Return what trusting weights of these names comes to: pickles are not trusted, whatever pins them.

    Args:
        names: of the files.
        source: where they are.
        facts: what else a program should know.
        pinned: whether something pins them.
        pin: said behind their format.
    """
    kinds, unsafe = sorted({name.rpartition(".")[2] for name in names}), any(n.endswith(".bin") for n in names)
    form = f"weights in {' and '.join(kinds)}" if names else "no weights found"
    if unsafe:
        form = f"weights in {len(names)} .bin file(s), which are pickles: read with weights_only, still no safetensors"
    says = f"{source}; {form}{pin}"
    return Trusted("pinned" if pinned and not unsafe else "changes", says, {**facts, "weights": kinds})


def check_folder(folder: Path, where: str) -> None:
    """Raise `BadInput` unless the folder holds a configuration, all weights and a tokenizer.

    Args:
        folder: what `transformers.AutoModel.from_pretrained` is to read.
        where: how the message begins, such as ``"models: local.path"``.
    """
    if not folder.is_dir():
        raise BadInput(f"{where}: {folder} is not a folder")
    names = [path.name for path in folder.iterdir()]
    if "config.json" not in names:
        ggufs = sorted(name for name in names if name.endswith(".gguf"))
        hint = f"; it holds {ggufs[0]}: set 'gguf_file: {ggufs[0]}'" if ggufs else ""
        raise BadInput(f"{where}: {folder} has no config.json, so it is no model in transformers' format{hint}")
    if not weight_names(names):
        raise BadInput(f"{where}: {folder} has no weights (model.safetensors, or pytorch_model.bin)")
    missing = sorted(_shards(folder) - set(names))
    if missing:
        raise BadInput(f"{where}: {folder} is not complete: {missing[0]} is missing, and {len(missing) - 1} more")
    if not any(_TOKENIZER.fullmatch(name) for name in names):
        raise BadInput(f"{where}: {folder} has no tokenizer (tokenizer.json or tokenizer_config.json)")


def weights_sha256(files: Iterable[Path]) -> str:
    """Return what pins weights: the sha256 of the file, or of the names and hashes of several."""
    hashes = {file.name: cached_sha256(file) for file in files}
    return next(iter(hashes.values())) if len(hashes) == 1 else content_hash(hashes)


def content_files_sha256(folder: Path) -> str:
    """Return the sha256 over all that decides what a model folder computes: weights, configuration, tokenizer."""
    names = [path.name for path in folder.iterdir() if path.is_file()]
    small = [name for name in names if name.endswith((".json", ".model", ".txt", ".jinja", ".tiktoken"))]
    return weights_sha256(folder / name for name in sorted({*weight_names(names), *small}))


def _shards(folder: Path) -> set[str]:
    """Return the files that the index of sharded weights names."""
    for first, _ in _WEIGHTS:
        if (folder / first).is_file():
            return set()
        index = folder / f"{first}.index.json"
        if index.is_file():
            try:
                return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadInput(f"{index} is no index of weights") from error
    return set()
