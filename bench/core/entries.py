"""How an experiment names things: an entry of a registry, its options, and the label that tables know it by."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import field_validator, model_validator

from bench.core.config import Config
from bench.core.labels import check_label

_Entries = TypeVar("_Entries", list["Entry"], tuple["Entry", ...])

NO_MODEL = "none"
"""Stands in tables and paths for the model of a method that uses none."""


def distinct(entries: _Entries) -> _Entries:
    """Return entries that are told apart by their labels, or raise `ValueError`."""
    labels = [entry.label for entry in entries]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"the label {twice[0]!r} is used twice; tell them apart by 'label:'")
    return entries


class Entry(Config):
    """A registered thing and its options, as an experiment names it: ``name`` or ``name: {options}``."""

    name: str
    label: str
    """How the thing is called, in any script; its name unless the experiment says otherwise. Paths bear its slug (see
    `bench.core.labels`)."""
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {data: {}}
        if not isinstance(data, dict) or not data:
            raise ValueError(f"expected a name, or 'name: {{options}}', found {data!r}")
        if not ("name" in data and "label" in data):
            if len(data) != 1:
                raise ValueError(
                    f"expected one name with its options below it, found the keys {', '.join(map(str, data))}; "
                    "indent the options one level deeper than the name"
                )
            ((name, options),) = data.items()
            if not isinstance(options, dict | None):
                raise ValueError(f"the options of {name!r} must be a mapping, found {options!r}")
            rest = dict(options or {})
            own = {k: rest.pop(k) for k in cls.model_fields if k in rest and k not in ("name", "options")}
            data = {"name": name, "label": default_label(str(name), rest), "options": rest, **own}
        return data

    @field_validator("label")
    @classmethod
    def _check_label(cls, label: str) -> str:
        if check_label(label, " (give one by 'label:')") == NO_MODEL:
            raise ValueError(f"the label {NO_MODEL!r} stands for methods without a language model; give another")
        return label


def default_label(name: str, options: dict[str, Any]) -> str:
    """Derive a label: the last part of a hub id or of a path (without a data file's suffix), else the name itself.

    Such a part is a plain name if it has plain letters alone, else it is as it was written.
    """
    where = next((options[key] for key in ("path", "id") if isinstance(options.get(key), str)), name)
    if where == name and "/" not in name:
        return name
    last = re.split(r"[/\\]", where.rstrip("/\\"))[-1]
    last = re.sub(r"\.(csv|tsv|json|jsonl|parquet|gguf)$", "", last, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9._-]+", "-", last.lower()) if last.isascii() else last


class DatasetEntry(Entry):
    """A data set of an experiment, and where else its finals are tested."""

    transfer: list[Entry] = []
    """Data sets on whose test split the finals are tested too, with nothing trained further (zero-shot transfer): the
    label of another data set of the experiment, or any data set with its options."""

    _check_targets = field_validator("transfer")(distinct)


class MethodEntry(Entry):
    """A method of an experiment, with what is special to it."""

    training: dict[str, Any] = {}
    """Training settings for this method alone."""
    search: dict[str, Any] = {}
    """Changes to the method's search space, by option or training setting (see the README); of ``peft``, the fields of
    its configuration class are options too."""
