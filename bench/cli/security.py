"""``bench doctor --security``: what an experiment would trust, as a list or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bench.core.labels import slug
from bench.experiment.file import load_experiment
from bench.security import examine

_MARKS = {"pinned": "[green]pinned [/]", "changes": "[yellow]changes[/]", "code": "[red]code   [/]", "note": "       "}


def show_security(file: Path, as_json: bool, plugins: Sequence[str] = ()) -> None:
    """Print what an experiment file would trust; nothing of it is run or fetched.

    Raises:
        BadInput: the file is no experiment.
    """
    experiment = load_experiment(file)
    folders = [Path(root) / slug(experiment.name) for root in ("results", "reports")]
    items = examine(experiment, str(file), plugins, folders)
    if as_json:
        print(json.dumps({"experiment": experiment.name, "items": [item.to_json() for item in items]}, indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    for item in items:
        console.print(f"{_MARKS[item.trust]} {escape(item.kind)} [bold]{escape(item.name)}[/]: {escape(item.says)}")
    code = sum(item.trust == "code" for item in items)
    changes = sum(item.trust == "changes" for item in items)
    print(
        f"\n{code} of these are code that is not promptscale's and would run with your rights; "
        f"{changes} may change without a change of this file"
    )
