"""``bench list`` and ``bench show``: what the registries hold."""

from __future__ import annotations

import inspect
import json
from typing import Any

from pydantic_core import PydanticUndefined, to_jsonable_python
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.core.config import Config, aliases
from bench.core.errors import BadInput, did_you_mean
from bench.core.registry import Registry
from bench.datasets import datasets
from bench.engines import engines
from bench.methods import methods
from bench.methods.base import Method
from bench.metrics import metrics
from bench.models import models
from bench.reporting.figures import figures
from bench.trackers import trackers

REGISTRIES: dict[str, Registry[Any]] = {
    "methods": methods,
    "datasets": datasets,
    "models": models,
    "metrics": metrics,
    "engines": engines,
    "figures": figures,
    "trackers": trackers,
}
FACTS = ("title", "source", "homepage", "license", "license_notice", "citation", "parameters", "version", "when_to_use")


def list_entries(kind: str, as_json: bool) -> None:
    """Print the entries of one registry, and the plug-ins that do not load."""
    registry = _registry(kind)
    rows = [_facts(registry, name, entry) for name, entry in registry.entries()]
    if as_json:
        print(json.dumps({"entries": rows, "broken": registry.broken}, indent=1))
        return
    table = Table()
    extra = {"models": ["parameters", "license"], "datasets": ["license"]}.get(kind, [])
    for heading in ("name", "what it is", *extra, "from"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        shown = [_plain(row.get(key)) for key in ("name", "summary", *extra, "from")]
        table.add_row(*map(escape, shown))
    console = Console()
    console.print(table)
    for name, reason in registry.broken.items():
        console.print(f"[red]does not load:[/] {escape(name)}: {escape(reason)}")


def show_entry(kind: str, name: str | None, as_json: bool) -> None:
    """Print one entry whole; ``kind`` alone is the name of an entry, if only one has it.

    Raises:
        BadInput: unknown kind or name, or a name that entries of several kinds have.
    """
    if name is None:
        kind, name = _only_kind(kind), kind
    facts = described(kind, name)
    doc = facts.pop("doc")
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    console = Console()
    console.print(f"[bold]{escape(name)}[/]\n{escape(doc)}\n", highlight=False)
    for key in FACTS:
        if facts.get(key) not in (None, ""):
            console.print(f"{key.replace('_', ' ')}: {escape(_plain(facts[key]))}", highlight=False)
    for trap in facts["traps"]:
        console.print(f"trap: {escape(trap)}", highlight=False)
    table = Table(title="options", title_justify="left")
    for heading in ("name", "type", "default", "meaning"):
        table.add_column(heading, overflow="fold")
    for field in facts["fields"]:
        name = f"{field['name']}\n({field['also']})" if field["also"] else field["name"]
        table.add_row(*map(escape, (name, *(_plain(field[key]) for key in ("type", "default", "meaning")))))
    if facts["fields"]:
        console.print(table)
    if facts["search_space"]:
        console.print("search space:")
        for key, value in facts["search_space"].items():
            console.print(f"  {key}: {escape(json.dumps(value))}", highlight=False)


def described(kind: str, name: str) -> dict[str, Any]:
    """Return all that an entry says of itself: facts, docstring, fields, search space.

    Raises:
        BadInput: unknown kind or name.
    """
    registry = _registry(kind)
    entry = registry.get(name)
    facts = _facts(registry, name, entry) | {"traps": getattr(entry, "traps", ())}
    return facts | {"doc": inspect.getdoc(entry) or "", "fields": _fields(entry), "search_space": _space(entry)}


def _registry(kind: str) -> Registry[Any]:
    plural = kind.removesuffix("s") + "s"
    if plural not in REGISTRIES:
        raise BadInput(f"unknown kind '{kind}'{did_you_mean(kind, REGISTRIES)}")
    return REGISTRIES[plural]


def _only_kind(name: str) -> str:
    """Return the kind of the one entry that has a name."""
    kinds = [plural.removesuffix("s") for plural, registry in REGISTRIES.items() if name in registry]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise BadInput(f"'{name}' is the name of a {' and a '.join(kinds)}; say 'bench show {kinds[0]} {name}'")
    if f"{name.removesuffix('s')}s" in REGISTRIES:
        raise BadInput(f"show {name}: which one? 'bench list {name.removesuffix('s')}s' lists them")
    near = did_you_mean(name, [known for registry in REGISTRIES.values() for known in registry.names()])
    raise BadInput(f"nothing is called '{name}'{near}; 'bench show KIND NAME', such as 'bench show method lora'")


def _facts(registry: Registry[Any], name: str, entry: type[Config]) -> dict[str, Any]:
    summary = (inspect.getdoc(entry) or "").partition("\n\n")[0].replace("\n", " ")
    known = {key: getattr(entry, key, None) for key in FACTS if not callable(getattr(entry, key, None))}
    return {"name": name, "summary": summary, "from": registry.owner(name), **known}


def _fields(entry: type[Config]) -> list[dict[str, Any]]:
    also = aliases(entry)
    return [
        {
            "name": name,
            "also": also[name].name if name in also else None,
            "type": str(field.annotation).replace("typing.", "")
            if not isinstance(field.annotation, type)
            else field.annotation.__name__,
            "default": None if field.default is PydanticUndefined else to_jsonable_python(field.default, fallback=str),
            "required": field.is_required(),
            "meaning": " ".join((field.description or "").split()),
        }
        for name, field in entry.model_fields.items()
    ]


def _space(entry: type[Config]) -> dict[str, Any]:
    if not issubclass(entry, Method) or any(field.is_required() for field in entry.model_fields.values()):
        return {}
    return {name: d.model_dump(mode="json") for name, d in entry().search_space().items()}


def _plain(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)
