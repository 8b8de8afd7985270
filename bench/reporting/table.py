"""The table of a comparison: one row a cell, whatever became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from bench.config import canonical_json
from bench.records import STATUSES, PhaseMemory, TrialRecord
from bench.reporting.cells import CellRuns, group_cells
from bench.reporting.frame import plain_rows, typed

_TYPES = {
    "dataset": "string",
    "model": "string",
    "method": "string",
    "base_parameters": "Int64",
    "metric": "string",
    "greater_is_better": "boolean",
    "stochastic": "boolean",
    "test_mean": "Float64",
    "test_sd": "Float64",
    "test_seeds": "Int64",
    "validation_best": "Float64",
    "best_params": "string",
    "trainable_parameters": "Int64",
    "total_parameters": "Int64",
    "trainable_percent": "Float64",
    "adapter_bytes": "Int64",
    "train_peak_live_tensors_bytes": "Int64",
    "peak_resident_set_bytes": "Int64",
    "train_cuda_allocated_peak_bytes": "Int64",
    "train_cuda_reserved_peak_bytes": "Int64",
    "train_seconds": "Float64",
    "train_tokens_per_second": "Float64",
    "non_label_share": "Float64",
    **{f"runs_{status}": "Int64" for status in STATUSES},
    "superseded_finals": "Int64",
    "differs": "string",
}

CUDA_COLUMNS = ("train_cuda_allocated_peak_bytes", "train_cuda_reserved_peak_bytes")


def summarise(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Summarise records, one row a cell; a cell without any good run has its row too.

    ``test_mean``, ``test_sd`` (n - 1 below the line, missing below two seeds) and ``test_seeds`` are the
    main metric on the test split over the finals of the best trial's configuration. Times and shares
    are means, memory is the peak, both over these finals (over the best trial where there are none).
    ``runs_<status>`` counts all runs of the cell, trials and finals. ``differs`` names what is not the
    same in all its runs: git commit, model revision, data revision. Columns of CUDA are there only
    where there was CUDA. ``model`` is ``none`` for methods that use no model.
    """
    return summarise_cells(group_cells(records))


def summarise_cells(cells: Sequence[CellRuns]) -> pd.DataFrame:
    """Summarise cells that are already grouped, in their order; see `summarise`."""
    rows = [_row(cell) for cell in cells]
    columns = {name: typed([row[name] for row in rows], dtype) for name, dtype in _TYPES.items()}
    for name in CUDA_COLUMNS:
        if columns[name].isna().all():
            del columns[name]
    return pd.DataFrame(columns)


def best_rows(summary: pd.DataFrame) -> set[int]:
    """Return the positions of the best test scores of each model on each data set; equals share it.

    Methods that use no model have nothing to be compared with under that heading.
    """
    best: dict[tuple[str, ...], float] = {}
    signed: list[tuple[int, tuple[str, ...], float]] = []
    for position, row in enumerate(plain_rows(summary)):
        if row["test_mean"] is None or row["model"] == "none":
            continue
        key = (row["dataset"], row["model"], row["metric"])
        value = row["test_mean"] if row["greater_is_better"] else -row["test_mean"]
        signed.append((position, key, value))
        best[key] = max(value, best.get(key, value))
    return {position for position, key, value in signed if value == best[key]}


def _row(cell: CellRuns) -> dict[str, Any]:
    runs = cell.measured
    parameters = next((run.parameters for run in [*runs, *cell.runs] if run.parameters), None)
    statuses = [run.status for run in cell.runs]
    return {
        "dataset": cell.dataset,
        "model": cell.model,
        "method": cell.method,
        "base_parameters": cell.base_parameters,
        "metric": cell.metric,
        "greater_is_better": cell.greater_is_better,
        "stochastic": cell.stochastic,
        "test_mean": cell.mean,
        "test_sd": cell.sd,
        "test_seeds": len(cell.scores),
        "validation_best": cell.best and cell.best.objective,
        "best_params": canonical_json(cell.best.spec.params) if cell.best else None,
        "trainable_parameters": parameters and parameters.trainable,
        "total_parameters": parameters and parameters.total,
        "trainable_percent": parameters and parameters.percent,
        "adapter_bytes": _over(max, runs, lambda run: run.parameters and run.parameters.adapter_bytes),
        "train_peak_live_tensors_bytes": _over(max, runs, lambda run: _train(run).live_tensor_peak_bytes),
        "peak_resident_set_bytes": _over(max, runs, _resident),
        "train_cuda_allocated_peak_bytes": _over(max, runs, lambda run: _train(run).cuda_allocated_peak_bytes),
        "train_cuda_reserved_peak_bytes": _over(max, runs, lambda run: _train(run).cuda_reserved_peak_bytes),
        "train_seconds": _over(fmean, runs, lambda run: run.seconds.get("train")),
        "train_tokens_per_second": _over(fmean, runs, lambda run: run.tokens_per_second.get("train")),
        "non_label_share": _over(fmean, runs, lambda run: run.non_label_share),
        **{f"runs_{status}": statuses.count(status) for status in STATUSES},
        "superseded_finals": cell.superseded,
        "differs": ", ".join(cell.mixed) or None,
    }


def _over(combine: Callable[[list[Any]], Any], runs: Iterable[TrialRecord], value: Callable[[TrialRecord], Any]) -> Any:
    """Combine what was measured; None if nothing was."""
    values = [found for run in runs if (found := value(run)) is not None]
    return combine(values) if values else None


def _train(run: TrialRecord) -> PhaseMemory:
    return run.memory.get("train", PhaseMemory())


def _resident(run: TrialRecord) -> int | None:
    """Return the peak over all phases: the process that is to fit into the machine."""
    peaks = [phase.resident_peak_bytes for phase in run.memory.values() if phase.resident_peak_bytes is not None]
    return max(peaks, default=None)
