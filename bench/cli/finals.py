"""``bench predict``, ``bench export`` and ``bench inspect``: what may be asked of a final.

Declared here and done in `bench.cli.artifacts`, which is slow to import.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
Run = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A final's record (results/.../final-*.json), or the folder of its adapter."),
]
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--model", help="Where its base model is now, if not where the run had it: a name, a hub id, a folder."
    ),
]


@app.command()
def predict(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Finals' records (results/.../final-*.json), or folders of adapters."),
    ],
    text: Annotated[list[str] | None, typer.Option("--text", help="A text to answer. Repeatable.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A table with the template's columns, or a .txt with a text a line.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of generation, such as temperature=0.7. Repeatable."
        ),
    ] = None,
    model: BaseModel = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Answer new text by finals: a label and the probability of each, or free text as it is written.

    Free answers to a --file are JSON Lines. Finals of one base model share it.
    """
    from bench.cli.artifacts import answer

    answer(runs, text or [], file, model, set_ or [], json)


@app.command()
def export(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="REPO", help="Upload it too, as a private repository (owner/name).")
    ] = None,
) -> None:
    """Write a final's trained weights with a model card, to be loaded by PEFT or transformers."""
    from bench.cli.artifacts import export_run

    export_run(run, folder, push_to_hub)


@app.command()
def inspect(
    run: Run,
    out: Annotated[
        Path | None, typer.Option(help="Where to write.", show_default="reports/<experiment>/inspect/<run>")
    ] = None,
    model: BaseModel = None,
) -> None:
    """Look into a final: a soft prompt's nearest tokens before and after training, the gradient norm by step."""
    from bench.cli.artifacts import inspect_run

    inspect_run(run, out, model)
