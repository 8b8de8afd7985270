"""Questions, references and what methods wrote, side by side, where records keep the texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core.grouping import grouped
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.runs.record import Text

_ITEMS, _METHODS, _LONGEST = 8, 2, 1_000


def written_samples(cells: Sequence[CellResults]) -> list[dict[str, Any]]:
    """Return the answers of the two methods with the best means of each model on each data set."""
    scored = [cell for cell in cells if cell.mean is not None and _texts(cell)]
    best_first = sorted(scored, key=lambda cell: cell.rank_key)
    groups = grouped(best_first, lambda cell: (cell.dataset, cell.model))
    return [_side_by_side(group[:_METHODS]) for group in groups.values()]


def _side_by_side(cells: Sequence[CellResults]) -> dict[str, Any]:
    kept = [_texts(cell) for cell in cells]
    shared = [item for item in kept[0] if all(item in texts for texts in kept)][:_ITEMS]
    return {
        "title": f"{cells[0].model} / {cells[0].dataset}",
        "methods": [cell.method for cell in cells],
        "items": [
            {
                "question": text.visible(kept[0][item].question, _LONGEST),
                "references": [text.visible(one, _LONGEST) for one in kept[0][item].references],
                "answers": [text.visible(texts[item].answer, _LONGEST) for texts in kept],
            }
            for item in shared
        ],
    }


def _texts(cell: CellResults) -> dict[str, Text]:
    """Return the texts of a cell's first final that keeps them, by the item's id."""
    kept = (run.answers for run in cell.finals if run.status == "ok" and run.answers and run.answers.texts)
    first = next(kept, None)
    return {} if first is None else dict(zip(first.ids, first.texts, strict=True))
