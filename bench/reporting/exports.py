"""Results in the forms that other tools read: lm-evaluation-harness, the Hub's model index, one long frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import yaml

from bench.core.errors import BadInput
from bench.core.labels import slug
from bench.reporting import text
from bench.reporting.cells import CellResults
from bench.reporting.folders import Results
from bench.reporting.frame import results_frame
from bench.reporting.statistics.components import standard_error
from bench.reporting.statistics.contrast import own_parts, unknown_of
from bench.reporting.table import summarise_cells
from bench.reporting.writers import csv_table, latex_table, markdown_table, write_files

_Files = Callable[[Results], Iterable[tuple[str, bytes]]]

_KEYS = ["model", "dataset", "method", "kind", "number", "seed", "status", "selected", "spec_hash"]
_FAMILIES = ("validation", "test", "transfer", "seconds", "memory", "tokens_per_second", "flops", "measurement")
_QUANTITIES = ("objective", *(f"{family}." for family in _FAMILIES))


def long_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run and quantity: the columns that name the run, ``quantity`` and ``value``.

    Scores, seconds, memory, speed and what methods measure themselves; what is missing has no row.
    Written as Parquet it can be queried as it lies, by DuckDB for example.
    """
    names = [name for name in frame.columns if str(name).startswith(_QUANTITIES)]
    numeric = frame[_KEYS].join(frame[names].astype("Float64"))
    long = numeric.melt(id_vars=_KEYS, value_vars=names, var_name="quantity", value_name="value")
    return long.dropna(subset="value").reset_index(drop=True)


def lm_eval_results(cells: Sequence[CellResults]) -> dict[str, Any]:
    """Return the results of one model with one method, a cell a data set, as lm-evaluation-harness writes them.

    A task is a data set, its version what pins the data; ``_stderr`` is the standard error of the main metric over test
    items, as theirs is, and over seeds.
    """
    results: dict[str, dict[str, Any]] = {}
    for cell in cells:
        scored = results.setdefault(cell.dataset, {"alias": cell.dataset})
        for metric, values in cell.metrics.items():
            scored[f"{metric},none"] = sum(values) / len(values)
            known = cell.answers if metric == cell.metric and unknown_of(cell.answers) is None else None
            scored[f"{metric}_stderr,none"] = standard_error(own_parts(known, 0.0)) if known else "N/A"
    first = cells[0].runs[0]
    model = first.spec.cell.model
    return {
        "results": results,
        "configs": {
            cell.dataset: {
                "task": cell.dataset,
                "metric_list": [{"metric": cell.metric, "higher_is_better": cell.greater_is_better}],
                "metadata": {
                    "seeds": len(cell.scores),
                    "configuration": cell.best_params or {},
                },
            }
            for cell in cells
        },
        "versions": {cell.dataset: _data_version(cell) for cell in cells},
        "n-shot": {cell.dataset: cell.shots or 0 for cell in cells},
        "higher_is_better": {cell.dataset: {cell.metric: cell.greater_is_better} for cell in cells},
        "n-samples": {
            cell.dataset: {"original": items, "effective": items} for cell in cells if (items := cell.test_items)
        },
        "config": {
            "model": "promptscale",
            "model_args": {"base": model.name if model else None, "method": cells[0].method},
        },
        "git_hash": first.provenance.git_commit,
        "model_name": f"{cells[0].model}__{cells[0].method}",
    }


def _data_version(cell: CellResults) -> str:
    """Return what pins the data and the code that reads them, else the sha256 of the splits as they were used."""
    pin = cell.settings.data_pin or next((run.provenance.data_revision for run in cell.measured), None)
    return pin[:12] if pin else "N/A"


def model_index(cells: Sequence[CellResults]) -> dict[str, Any]:
    """Return the ``model-index`` of a model card on the Hub for one model with one method, a cell a data set."""
    from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index

    results = [
        EvalResult(
            task_type="text-generation" if any(run.answers for run in cell.finals) else "text-classification",
            dataset_type=cell.settings.dataset.name,
            dataset_name=cell.dataset,
            dataset_split="test",
            metric_type=metric,
            metric_name=f"{metric} (mean over {text.number_of(len(values), 'fold' if cell.folds else 'seed')})",
            metric_value=fmean(values),
        )
        for cell in cells
        for metric, values in cell.metrics.items()
    ]
    return {"model-index": eval_results_to_model_index(f"{cells[0].model}-{cells[0].method}", results)}


def _parquet(frame: pd.DataFrame) -> bytes:
    frame.attrs = {}
    return frame.to_parquet(index=False, compression="zstd")


def _one(name: str, write: Callable[[Results], bytes]) -> _Files:
    return lambda results: [(name, write(results))]


def _each(ending: str, write: Callable[[list[CellResults]], str]) -> _Files:
    """Return what makes a file of the tested cells of each model with each method."""

    def files(results: Results) -> Iterator[tuple[str, bytes]]:
        groups: dict[tuple[str, str], list[CellResults]] = {}
        for cell in results.cells:
            if cell.scores:
                groups.setdefault((cell.model, cell.method), []).append(cell)
        for (model, method), cells in groups.items():
            yield f"{slug(model)}__{slug(method)}.{ending}", write(cells).encode()

    return files


FORMATS: Mapping[str, _Files] = {
    "csv": _one("table.csv", lambda r: csv_table(summarise_cells(r.cells)).encode()),
    "parquet": _one("table.parquet", lambda r: _parquet(summarise_cells(r.cells))),
    "markdown": _one("table.md", lambda r: markdown_table(summarise_cells(r.cells)).encode()),
    "latex": _one("table.tex", lambda r: latex_table(summarise_cells(r.cells)).encode()),
    "runs": _one("runs.parquet", lambda r: _parquet(results_frame(r))),
    "long": _one("long.parquet", lambda r: _parquet(long_frame(results_frame(r)))),
    "lm-eval": _each("json", lambda cells: json.dumps(lm_eval_results(cells), indent=2, allow_nan=False) + "\n"),
    "model-index": _each("yaml", lambda cells: yaml.safe_dump(model_index(cells), sort_keys=False, allow_unicode=True)),
}
"""Names of the formats, and the files that each makes."""


def convert(results: Results, form: str, out: Path) -> list[Path]:
    """Write results in a format into a folder and return the files.

    Raises:
        BadInput: there is nothing of that kind in the results, or the folder cannot be written.
    """
    written = write_files(out, FORMATS[form](results))
    if not written:
        raise BadInput(f"{form}: no cell has a score on test yet")
    return written
