"""``bench predict``, ``bench export`` and ``bench inspect``: what to do with a final."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.artifacts.export import add_tokenizer, export, is_whole_model, push
from bench.artifacts.inspection import VirtualToken, gradient_figure, inspect_prompt
from bench.artifacts.loading import LoadedRun, load_run
from bench.artifacts.predict import inputs, predict
from bench.artifacts.runs import find_run
from bench.core.files import make_writable, write_atomic
from bench.core.labels import slug


def answer(path: Path, texts: Sequence[str], file: Path | None, model: str | None, as_json: bool) -> None:
    """Print which adapter is active, and label and probabilities for each text."""
    run = find_run(path)
    rendered = inputs(str(run.record.spec.cell.dataset.options.get("template", "{text}")), texts, file)
    loaded = load_run(run, model)
    active = describe(loaded)
    answers = predict(loaded, rendered)
    if as_json:
        rows = [
            {"text": a.text, "label": a.label, "probabilities": a.probabilities, "base": a.base_probabilities}
            for a in answers
        ]
        print(json.dumps({"active": active, "answers": rows}, indent=1, ensure_ascii=False))
        return
    console = Console()
    console.print(f"active: {escape(active)}", soft_wrap=True, highlight=False)
    for one in answers:
        console.print(f"\n{escape(one.text)}", soft_wrap=True, highlight=False, style="dim")
        console.print(f"[bold]{escape(one.label)}[/]   {escape(_shares(one.probabilities))}", highlight=False)
        if one.base_probabilities is not None:
            before = max(one.base_probabilities, key=one.base_probabilities.__getitem__)
            said = f"base model alone: {before}   {_shares(one.base_probabilities)}"
            console.print(escape(said), style="dim", highlight=False)


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
        add_tokenizer(folder, base.tokenizer)
    console = Console()
    console.print(f"{escape(run.title)}: exported to {escape(str(folder))}", soft_wrap=True, highlight=False)
    if repository is not None:
        console.print(f"pushed to {escape(push(folder, repository))}", soft_wrap=True, highlight=False)


def inspect_run(path: Path, out: Path | None, model: str | None) -> None:
    """Show a soft prompt's nearest tokens before and after training, and draw the gradient norm by step."""
    run = find_run(path)
    record, cell = run.record, run.record.spec.cell
    name = "-".join([*map(slug, cell.labels), record.spec.kind, str(record.spec.number)])
    folder = out or Path("reports") / slug(record.spec.experiment) / "inspect" / name
    figure = gradient_figure(record.train_curve, run.title)
    make_writable(folder, "--out")
    write_atomic(folder / "gradient_norm.png", figure)
    console = Console()
    inspected = inspect_prompt(load_run(run, model))
    if inspected is None:
        console.print(f"{escape(cell.method.label)} has no virtual tokens among the input embeddings", soft_wrap=True)
    else:
        table = Table(title=escape(run.title), title_justify="left")
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if "token" in heading else "right", overflow="fold")
        rows = [_cells(token) for token in inspected.tokens]
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
        low, middle, high = inspected.vocabulary_norms
        console.print(
            f"norms of the vocabulary's embeddings: median {middle:.3g}, 5 % under {low:.3g}, 5 % over {high:.3g}",
            highlight=False,
        )
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows([HEADINGS, *rows])
        write_atomic(folder / "virtual_tokens.csv", lines.getvalue().encode())
    console.print(
        f"gradient norm by step: {escape(str(folder / 'gradient_norm.png'))}", soft_wrap=True, highlight=False
    )


HEADINGS = (
    "position",
    "token before",
    "cosine",
    "norm",
    "token after",
    "cosine after",
    "norm after",
    "before to after",
)


def _cells(token: VirtualToken) -> list[str]:
    before, after = token.before, token.after
    return [
        str(token.position),
        before.token,
        f"{before.cosine:.3f}",
        f"{before.norm:.3g}",
        after.token,
        f"{after.cosine:.3f}",
        f"{after.norm:.3g}",
        f"{token.moved:.3f}",
    ]
