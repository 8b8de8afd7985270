"""What every configuration shares: frozen, strict about keys, and clear when something is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.core.errors import BadInput, did_you_mean


@dataclass(frozen=True)
class Alias:
    """Another library's name of a field, written into its annotation: ``rank: Annotated[int, Alias("r")]``."""

    name: str
    words: Mapping[Any, Mapping[str, Any]] = dataclass_field(default_factory=dict, hash=False)
    """That library's words for values of the field, each with the fields of ours that it comes to."""


def aliases(kind: type[BaseModel]) -> dict[str, Alias]:
    """Return the aliases of a class, by the names of its fields."""
    return {
        name: alias for name, info in kind.model_fields.items() for alias in info.metadata if isinstance(alias, Alias)
    }


def own_names(kind: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` with the names and words of aliases replaced by those of the fields.

    Raises:
        ValueError: a field is there by both of its names.
    """
    result = dict(data)
    for name, alias in aliases(kind).items():
        if alias.name in result and alias.name != name:
            if name in result:
                raise ValueError(f"{name} and {alias.name} are two names of one option; give one of them")
            result[name] = result.pop(alias.name)
        value = result.get(name)
        if isinstance(value, str) and value in alias.words:
            del result[name]
            result = {**alias.words[value], **result}
    return result


class Config(BaseModel):
    """A frozen pydantic model that forbids unknown keys.

    A field's docstring is written once, under the field, and serves the help text, ``bench show``
    and the error messages.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the help text of a field of which a subclass changes only the default."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            inherited = (parent.model_fields.get(name) for parent in cls.__mro__[1:] if issubclass(parent, Config))
            field.description = field.description or next((f.description for f in inherited if f is not None), None)

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str) -> Self:
        """Validate ``data``, or raise `BadInput` that begins with ``where`` and the key path.

        Args:
            data: keys and values as they were read.
            where: file and key path of ``data`` itself, such as ``"x.yaml: methods[1].lora"``.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise BadInput(explain(error, cls, where)) from None


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Put pydantic's findings in our words, one line each: where, key path, what is wrong, what is right."""
    lines = []
    for item in error.errors(include_url=False):
        path = list(item["loc"])
        owner = _model_at(model, path[:-1])
        if item["type"] == "extra_forbidden":
            known = [*owner.model_fields, *(alias.name for alias in aliases(owner).values())] if owner else []
            found = f"unknown key{did_you_mean(str(path[-1]), known)}"
        elif item["type"] == "missing":
            found = "this key is missing"
        elif item["type"] == "value_error":
            found = str(item["ctx"]["error"])
        else:
            given = item.get("input")
            shown = ", found a mapping" if isinstance(given, dict) else f", found {given!r}"
            shown = "" if isinstance(given, list) else shown
            found = item["msg"][0].lower() + item["msg"][1:] + shown
        also = aliases(owner).get(str(path[-1])) if owner and path else None
        shown_path = join_path(where, path) + (f" (or {also.name})" if also and also.name != path[-1] else "")
        lines.append(f"{shown_path}: {found}")
    return "\n".join(dict.fromkeys(lines))


def join_path(where: str, path: list[Any]) -> str:
    """Write a key path as a reader of the file would: ``x.yaml: methods[1].lora.rank``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    if not text:
        return where
    if not where or where.endswith((".yaml", ".yml", ".json")):
        return f"{where}: {text}" if where else text
    return f"{where}{text}" if text.startswith("[") else f"{where}.{text}"


def _model_at(model: type[BaseModel], path: list[Any]) -> type[BaseModel] | None:
    """Follow a pydantic error location down to the model class that owns the key."""
    current: type[BaseModel] | None = model
    for part in path:
        if current is None or isinstance(part, int):
            continue
        field = current.model_fields.get(str(part))
        current = _first_model(field.annotation) if field else current
    return current


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _first_model(argument)
        if found:
            return found
    return None


def deep_merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings, later ones win, key by key at every depth (a list is replaced as a whole)."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            if isinstance(old, Mapping) and isinstance(value, Mapping):
                merged[key] = deep_merge(old, value)
            else:
                merged[key] = value
    return merged


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(value: Any) -> str:
    """Return the sha256 (64 hexadecimal digits) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def derive_seed(root: int, *parts: str | int) -> int:
    """Derive a seed in [0, 2**31) from a root seed and what it is for.

    Seeds are derived, never drawn, so that a study that was interrupted asks for the same points
    as one that was not.
    """
    text = "/".join([str(root), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) & 0x7FFFFFFF
