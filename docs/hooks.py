"""Pages of the site that are drawn from the code and from committed records, each time it is built.

mkdocs calls `on_config`, `on_files` and `on_page_markdown`; everything else makes a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel

from bench.cli import app
from bench.cli.listing import described
from bench.core.config import aliases
from bench.core.errors import BenchError
from bench.experiment.schema import Experiment, Override
from bench.experiment.settings import Evaluation, Finals, Runtime, Study, Training
from bench.methods import methods
from bench.planning.parameters import attach_weightless, parameters_of
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.claims.file import read_claims
from bench.reporting.claims.verdicts import findings, read_experiments
from bench.reporting.claims.writing import as_markdown
from bench.reporting.folders import collect
from bench.runs.manifest import FILENAME
from bench.runs.record import json_schema
from bench.training.costs import costs_of

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
SIZES = ("smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b", "llama-3.2-3b")
"""Models whose configurations ship, for the table of parameters by size."""
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)\s]+)\)")
"""A link to a file of the repository that is no page of the site."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put a page for each method into the navigation."""
    assert config.nav is not None
    (section,) = (entry["Methods"] for entry in config.nav if "Methods" in entry)
    section[1:] = [{name: f"methods/{name}.md"} for name in methods.names()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are drawn."""
    for uri, page in pages().items():
        files.append(File.generated(config, uri, content=page))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name files of the repository instead of linking to them, for the site may stand elsewhere; put in the names."""
    for marker, drawn in DRAWN.items():
        if marker in markdown:
            markdown = markdown.replace(marker, drawn())
    return OUTSIDE.sub(r"\1 (`\2` in the repository)", markdown)


def pages() -> dict[str, str]:
    """Return all drawn pages by their place in the site."""
    cells = [(folder, cell) for folder in _folders() for cell in collect(folder).cells]
    drawn = {f"methods/{name}.md": method_page(name, cells) for name in methods.names()}
    return drawn | {
        "methods/index.md": methods_page(),
        "reference/commands.md": commands_page(),
        "reference/experiment.md": experiment_page(),
        "reference/record.md": record_page(),
    }


def _folders() -> list[Path]:
    return sorted(path.parent for path in REFERENCE.glob(f"*/{FILENAME}"))


def methods_page() -> str:
    """List the methods, each with its first sentence."""
    rows = [(f"[{name}]({name}.md)", text.markdown(described("method", name)["summary"])) for name in methods.names()]
    return (
        "# Methods\n\nEach page is drawn from the method's class, from the planner and from the records that are "
        "committed.\n\n" + _table(("method", "what it is"), rows)
    )


def method_page(name: str, cells: Sequence[tuple[Path, CellResults]]) -> str:
    """Say what a method is, what it takes, what it costs, and what our records say of it."""
    facts = described("method", name)
    parts = [f"# {facts['title'] or name}", facts["doc"]]
    if facts["citation"]:
        parts.append(f"Source: {text.markdown(facts['citation'])}.")
    parts.append(f"In an experiment file it is `{name}`; `bench show method {name}` prints what stands below.")
    if facts["when_to_use"]:
        parts += ["## When to use it", text.markdown(facts["when_to_use"], 2000)]
    parts.append("## Options")
    rows = [
        (f"`{field['name']}`", f"`{field['also']}`" if field["also"] else "", _code(field["default"]),
         text.markdown(field["meaning"]))
        for field in facts["fields"]
    ]  # fmt: skip
    parts.append(_table(("option", "in PEFT", "default", "meaning"), rows) if rows else "It has none.")
    parts.append("## What a study varies")
    space = [(f"`{key}`", _range(value)) for key, value in facts["search_space"].items()]
    parts.append(_table(("value", "range"), space) if space else "Nothing, unless `search:` names something.")
    parts.append("## Parameters and memory by size")
    parts.append(_by_size(name))
    parts.append("## What our records say of it")
    parts.append(_records(name, cells))
    if facts["traps"]:
        traps = "\n".join(f"- {text.markdown(trap, 2000)}" for trap in facts["traps"])
        parts += ["## Traps", traps, "Those of every method: [traps of this field](../traps.md)."]
    return "\n\n".join(parts) + "\n"


def _by_size(name: str) -> str:
    rows, reasons = [], []
    for model in SIZES:
        try:
            tuned = attach_weightless(model, name, {}, f"method {name}")
        except BenchError as error:
            reasons.append(f"{model}: {error}")
            continue
        count, costs = parameters_of(tuned), costs_of(tuned)
        rows.append(
            (model, text.count(count.base), text.count(count.trainable), f"{text.percent(count.percent)} %",
             text.file_size(costs.memory_floor(4)), text.file_size(costs.memory_floor(2)))
        )  # fmt: skip
    if not rows:
        return f"Not counted here. {text.markdown(reasons[0])}."
    return (
        "With its default options, by `bench params`. Memory is the least that training needs: weights, gradients "
        "and AdamW's moments, frozen weights in float32 or bfloat16. Activations come on top; `bench plan` predicts "
        "them.\n\n" + _table(("model", "parameters", "trainable", "share", "least memory, float32", "bfloat16"), rows)
    )


def _records(name: str, cells: Sequence[tuple[Path, CellResults]]) -> str:
    rows = []
    for folder, cell in cells:
        if cell.settings.method.name != name or not cell.runs:
            continue
        if cell.mean is None:
            statuses = {run.status for run in cell.runs}
            score = "cannot run" if statuses == {"infeasible"} else "not finished"
        else:
            score = text.mean_sd(cell.mean, cell.sd)
        interval = f"{text.score(cell.interval.low)} to {text.score(cell.interval.high)}" if cell.interval else "-"
        rate = cell.best.spec.params.get("learning_rate") if cell.best else None
        rows.append(
            (folder.name, cell.model, text.short_count(cell.base_parameters) if cell.base_parameters else "-",
             cell.dataset, cell.method, f"{score} {cell.metric}" if cell.mean is not None else score, interval,
             text.significant(rate) if isinstance(rate, float) else "-", str(len(cell.scores)))
        )  # fmt: skip
    if not rows:
        return "No committed record has this method. It has not been compared by us."
    headings = (
        "results", "model", "size", "data set", "label", "score on test", "95 % interval", "best learning rate",
        "finals",
    )  # fmt: skip
    return (
        "Score: mean and standard deviation over the finals. The interval is over seeds and test items; a dash says "
        "that too little is there for one. The best learning rate is that of the best trial on validation.\n\n"
        + _table(headings, [tuple(map(text.markdown, row)) for row in rows])
    )


def names_table() -> str:
    """Return PEFT's names of options and ours, from the classes."""
    rows = [
        (f"[{name}](methods/{name}.md)", f"`{alias.name}`", f"`{field}`")
        for name, kind in methods.entries()
        for field, alias in aliases(kind).items()
        if alias.name != field
    ]
    return "\n" + _table(("method", "PEFT", "here"), rows)


def commands_page() -> str:
    """Describe every command and its options, from the functions that they are."""
    parts = ["# The command line", "Drawn from the commands themselves; `bench COMMAND --help` prints the same."]
    parts += _commands(typer.main.get_command(app), "bench")
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "commands"):  # a group; typer has a click of its own, so its class is not click's
        for child, one in sorted(command.commands.items()):
            yield from _commands(one, f"{name} {child}")
        return
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"## {name} {{ #{name.replace(' ', '-')} }}"
    yield text.markdown(" ".join((command.help or "").split()), 2000)
    yield f"    {' '.join([name, *command.collect_usage_pieces(context)])}"
    rows = []
    for parameter in command.params:
        shown = parameter.get_help_record(context)
        if shown and "--help" not in shown[0]:
            rows.append((f"`{shown[0]}`".replace("|", "\\|"), text.markdown(" ".join(shown[1].split()), 500)))
    yield _table(("argument", "meaning"), rows)


def experiment_page() -> str:
    """Describe the keys of an experiment file, from the classes that read it."""
    parts = ["# The experiment file", "Drawn from the classes that read it; a key that is not here is refused."]
    kinds = {
        "": Experiment, "training": Training, "study": Study, "finals": Finals, "evaluation": Evaluation,
        "runtime": Runtime, "overrides[]": Override,
    }  # fmt: skip
    for key, kind in kinds.items():
        parts.append(f"## `{key}:`" if key else "## At the top")
        if kind.__doc__:
            parts.append(text.markdown(" ".join(kind.__doc__.split()), 2000))
        parts.append(_fields(kind))
    parts.append("What a method takes below its name is on [its page](../methods/index.md).")
    return "\n\n".join(parts) + "\n"


def _fields(kind: type[BaseModel]) -> str:
    rows = []
    for name, field in kind.model_fields.items():
        default = "required" if field.is_required() else _code(_plain(field.get_default(call_default_factory=True)))
        words = get_args(field.annotation) if "Literal" in str(field.annotation) else ()
        choices = ", ".join(f"`{word}`" for word in words if isinstance(word, str))
        meaning = text.markdown(" ".join((field.description or "").split()), 2000)
        rows.append((f"`{name}`", default, f"{meaning} One of {choices}." if choices else meaning))
    return _table(("key", "default", "meaning"), rows)


def record_page() -> str:
    """Describe a record's fields, from its published schema."""
    schema = json_schema()
    parts = [
        "# The record",
        "A run leaves one JSON file. Its schema is `bench/runs/record.schema.json`; this page is drawn from the same.",
    ]
    for name, kind in {"TrialRecord": schema, **schema["$defs"]}.items():
        if "properties" not in kind:
            continue
        parts.append(f"## {name}")
        if kind.get("description"):
            parts.append(text.markdown(" ".join(kind["description"].split()), 2000))
        rows = [
            (f"`{field}`", text.markdown(" ".join(one.get("description", "").split()), 2000))
            for field, one in kind["properties"].items()
        ]
        parts.append(_table(("field", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


def claims() -> str:
    """Hold published sentences against the committed records."""
    claims = read_claims(ROOT / "docs" / "claims.yaml")
    return as_markdown(findings(claims, read_experiments(_folders())))


def _range(value: dict[str, Any]) -> str:
    if "choices" in value:
        return ", ".join(f"`{choice}`" for choice in value["choices"])
    return f"{value['low']:g} to {value['high']:g}" + (", logarithmic" if value.get("log") else "")


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _code(value: Any) -> str:
    if value is None:
        return "`null`"
    if isinstance(value, dict) and value:
        return "see below"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


DRAWN = {"<!-- names of options -->": names_table, "<!-- claims -->": claims}
"""What takes the place of a comment in a page."""
