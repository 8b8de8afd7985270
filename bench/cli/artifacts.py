"""``bench predict``, ``bench export`` and ``bench inspect``: what to do with a final."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.artifacts.export import export, is_whole_model, push
from bench.artifacts.inspection import gradient_figure, inspect_prompt
from bench.artifacts.loading import LoadedRun, load_run
from bench.artifacts.predict import inputs, predict, write
from bench.artifacts.runs import find_run
from bench.core.errors import BadInput
from bench.core.files import make_writable, write_atomic
from bench.core.labels import slug
from bench.core.plugins import load_plugins
from bench.datasets import datasets
from bench.datasets.answers import Option
from bench.datasets.table import Table as LocalTable
from bench.experiment.file import assigned
from bench.forward.settings import Generate
from bench.reporting.text import visible
from bench.reporting.writers import csv_table
from bench.training.session import Session


def answer(
    paths: Sequence[Path],
    texts: Sequence[str],
    file: Path | None,
    model: str | None,
    settings: Sequence[str],
    as_json: bool,
) -> None:
    """Print, for each run, which adapter is active and what it answers; runs of one base model share it.

    Args:
        paths: of the runs.
        texts: questions, each of which stands for the template's only column.
        file: a table of further ones, or a list of texts.
        model: another place of the base model.
        settings: ``KEY=VALUE`` of generation, in place of the data set's.
        as_json: print nothing but JSON.
    """
    session, found = Session(), []
    for run in map(find_run, paths):
        options = run.record.spec.cell.dataset
        load_plugins(run.record.spec.cell.plugins)
        dataset = datasets.build(options.name, options.options, f"data set {options.label}")
        filled = dataset.filled if isinstance(dataset, LocalTable) else dict
        rendered = inputs(dataset.template, texts, file, filled)
        if isinstance(dataset.answer, Option):
            raise BadInput(f"{run.title}: chooses between options of its rows, and a text alone has none")
        loaded = load_run(run, model, session)
        if not dataset.answer.writes:
            rows = _labelled(loaded, rendered, settings, as_json)
        else:
            rows = _written(loaded, rendered, settings, as_json, file is not None)
        found.append({"active": describe(loaded), "answers": rows})
    if as_json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=1, ensure_ascii=False))


def _labelled(loaded: LoadedRun, rendered: list[str], settings: Sequence[str], quiet: bool) -> list[dict[str, Any]]:
    """Answer by label words; print the answers unless ``quiet``."""
    if settings:
        raise BadInput(f"--set {settings[0]}: this run answers by label words and writes no text")
    answers = predict(loaded, rendered)
    console = Console(quiet=quiet, highlight=False)
    console.print(f"active: {escape(describe(loaded))}", soft_wrap=True)
    for one in answers:
        console.print(f"\n{escape(one.text)}", soft_wrap=True, style="dim")
        console.print(f"[bold]{escape(one.label)}[/]   {escape(_shares(one.probabilities))}")
        if one.base is not None:
            before = max(one.base, key=one.base.__getitem__)
            console.print(escape(f"base model alone: {before}   {_shares(one.base)}"), style="dim")
    return [asdict(one) for one in answers]


def _written(
    loaded: LoadedRun, rendered: list[str], settings: Sequence[str], quiet: bool, table: bool
) -> list[dict[str, Any]]:
    """Answer in free text: a table in JSON Lines, a text as it is being written."""
    given = loaded.splits.answer.generate.model_dump(mode="json")
    generate = Generate.parse(assigned(given, settings), "generate")
    if quiet or table:
        rows = [asdict(one) for one in write(loaded, rendered, generate)]
        if not quiet:
            for row in rows:
                print(json.dumps(row, ensure_ascii=False))
        return rows
    console, rows = Console(highlight=False, emoji=False, soft_wrap=True), []
    console.print(f"active: {escape(describe(loaded))}")
    for text in rendered:
        console.print(f"\n{escape(text)}", style="dim")
        told: list[str] = []

        def tell(piece: str, told: list[str] = told) -> None:
            told.append(piece)
            print(visible(piece), end="", flush=True)

        (one,) = write(loaded, [text], generate, tell)
        print("" if told else visible(one.answer))  # a method without a language model has it all at once
        if one.base is not None:
            console.print(escape(f"base model alone: {visible(one.base)}"), style="dim")
        rows.append(asdict(one))
    return rows


def describe(loaded: LoadedRun) -> str:
    """Say in one line which adapter stands on which base model."""
    record, run = loaded.run.record, loaded.run
    method = record.spec.cell.method.label
    if loaded.base is None:
        return f"{method}, which uses no language model"
    on = f"on {loaded.cell.labels[0]} (revision {loaded.base.revision[:12]})"
    if run.adapter is None:
        return f"{method}, which trains nothing, {on}"
    trained = f"{record.parameters.trainable:,} trained parameters" if record.parameters else "trained"
    return f"adapter of {method}, {record.spec.kind} {record.spec.number} ({trained}), {on}, from {run.adapter}"


def _shares(probabilities: Mapping[str, float]) -> str:
    return "  ".join(f"{label} {share:.3f}" for label, share in probabilities.items())


def export_run(path: Path, folder: Path, repository: str | None) -> None:
    """Write a folder with weights, record and model card, and push it where that was asked for."""
    run = find_run(path)
    export(run, folder)
    if is_whole_model(folder):
        base = load_run(run).base
        assert base is not None
        base.tokenizer.save_pretrained(folder)  # a whole model is nothing without it
    print(f"{run.title}: exported to {folder}")
    if repository is not None:
        print(f"pushed to {push(folder, repository)}")


def inspect_run(path: Path, out: Path | None, model: str | None) -> None:
    """Show a soft prompt's nearest tokens before and after training, and draw the gradient norm by step."""
    run = find_run(path)
    record, cell = run.record, run.record.spec.cell
    name = "-".join([*map(slug, cell.labels), record.spec.kind, str(record.spec.number)])
    folder = out or Path("reports") / slug(record.spec.experiment) / "inspect" / name
    figure = gradient_figure(record.train_curve, run.title)
    make_writable(folder, "--out")
    write_atomic(folder / "gradient_norm.png", figure)
    inspected = inspect_prompt(load_run(run, model))
    if inspected is None:
        print(f"{cell.method.label} has no virtual tokens among the input embeddings")
    else:
        tokens, (low, middle, high) = inspected
        shown = tokens.astype(str)
        for heading in map(str, tokens.select_dtypes("float")):
            shown[heading] = [f"{value:{'.3g' if 'norm' in heading else '.3f'}}" for value in tokens[heading]]
        table = Table(title=escape(run.title), title_justify="left")
        for heading in map(str, shown):
            table.add_column(heading, justify="left" if "token" in heading else "right", overflow="fold")
        for row in shown.itertuples(index=False):
            table.add_row(*map(escape, row))
        Console(emoji=False).print(table)
        print(f"norms of the vocabulary's embeddings: median {middle:.3g}, 5 % under {low:.3g}, 5 % over {high:.3g}")
        write_atomic(folder / "virtual_tokens.csv", csv_table(shown).encode())
    print(f"gradient norm by step: {folder / 'gradient_norm.png'}")
