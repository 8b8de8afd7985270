"""Which cells cannot fit into this machine's memory, before a trial of them is begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.experiment.cell import Cell
from bench.models import models
from bench.planning.estimating import answers, estimating

SURELY_FITS = 300_000_000
"""Parameters up to which nobody looks: all of them trained by AdamW in float32 take 4.5 GiB, and the look a second."""


def too_large_cells(cells: Sequence[Cell], say: Callable[[str], None]) -> dict[str, str]:
    """Return why a cell cannot fit, by the paths of such cells.

    It is held against the whole memory of the device that trials run on, in passes of one example: what a trial may
    fall back to. A cell that cannot be predicted may be tried.

    Args:
        cells: what is going to run.
        say: told of the models that are looked at, which takes a moment.
    """
    large = [cell for cell in cells if cell.model is not None and _parameters(cell) > SURELY_FITS]
    if not large:
        return {}
    say(f"predicting whether {', '.join(dict.fromkeys(cell.labels[0] for cell in large))} will fit into memory")
    with estimating("peaks", large) as process:
        predicted = answers(process.stdout)
    return {
        path: f"predicted to need {one['peak'] / 2**30:.1f} GiB in passes of one example, and {one['where']} has "
        f"{one['usable'] / 2**30:.1f} GiB for it ('bench plan' says what would fit; --force tries it)"
        for path, one in predicted.items()
        if one["peak"] > one["usable"]
    }


def _parameters(cell: Cell) -> float:
    """Return the parameters that a cell's model states, or the most that its weights can hold where they are here."""
    assert cell.model is not None
    if stated := models.get(cell.model.name).parameters:
        return stated
    folder = models.build(cell.model.name, cell.model.options, cell.title).folder()
    files = [file.stat().st_size for file in folder.glob("*.safetensors")] if folder.is_dir() else []
    return sum(files) / 2 if files else float("inf")
