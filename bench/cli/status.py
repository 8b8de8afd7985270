"""``bench status``: how far an experiment is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.errors import BadInput
from bench.records import RecordStore, best_trial, finals_of
from bench.spec import Experiment


def show_status(results: Path) -> None:
    """Print a row for each cell: what is done, how it ended, the best so far.

    Raises:
        BadInput: not a results folder.
    """
    path = results / "experiment.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        experiment = Experiment.model_validate(data["experiment"])
        paths = list(data["cells"])
    except FileNotFoundError:
        raise BadInput(f"{results}: no results folder (there is no {path.name} in it)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: not readable: {str(error).splitlines()[0]}") from None
    store = RecordStore(results)
    table = Table(title=f"{experiment.name}", title_justify="left")
    for heading in ("model", "data set", "method", "trials", "finals", "by status", "best on validation"):
        table.add_column(heading)
    for cell_path in paths:
        records = store.read_cell(cell_path)
        trials = [r for r in records if r.spec.kind == "trial"]
        best = best_trial(trials)
        finals = finals_of(best, records)
        cell = records[0].spec.cell if records else None
        counts = Counter(record.status for record in [*trials, *finals])
        table.add_row(
            *map(escape, cell_path.split("/")[:3]),
            f"{len(trials)} of {cell.study.trials}" if cell else "0",
            f"{len(finals)} of {cell.planned_finals}" if cell else "0",
            ", ".join(f"{n} {status}" for status, n in counts.items()) or "not begun",
            f"{best.objective:.3f}" if best and best.objective is not None else "-",
        )
    Console().print(table)
