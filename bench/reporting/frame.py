"""Records as a tidy pandas frame: one row a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bench.reporting.folders import Results, collect
from bench.runs.record import Evaluated, TrialRecord

_Column = tuple[str, Callable[[TrialRecord], Any]]

_FIXED: dict[str, _Column] = {
    "kind": ("string", lambda r: r.spec.kind),
    "number": ("Int64", lambda r: r.spec.number),
    "seed": ("Int64", lambda r: r.spec.seed),
    "status": ("string", lambda r: r.status),
    "reason": ("string", lambda r: r.reason),
    "metric": ("string", lambda r: r.spec.cell.objective),
    "greater_is_better": ("boolean", lambda r: r.spec.cell.greater_is_better),
    "objective": ("Float64", lambda r: r.objective),
    "best_step": ("Int64", lambda r: r.best_step),
    "parameters.total": ("Int64", lambda r: r.parameters and r.parameters.total),
    "parameters.trainable": ("Int64", lambda r: r.parameters and r.parameters.trainable),
    "parameters.percent": ("Float64", lambda r: r.parameters and r.parameters.percent),
    "parameters.with_gradient": ("Int64", lambda r: r.parameters and r.parameters.with_gradient),
    "parameters.base": ("Int64", lambda r: r.parameters and r.parameters.base),
    "adapter_bytes": ("Int64", lambda r: r.parameters and r.parameters.adapter_bytes),
    "non_label_share": ("Float64", lambda r: r.non_label_share),
    "device": ("string", lambda r: r.provenance.device),
    "precision": ("string", lambda r: r.provenance.precision),
    "workers": ("Int64", lambda r: r.provenance.workers),
    "started_at": ("string", lambda r: r.started_at),
    "experiment": ("string", lambda r: r.spec.experiment),
    "spec_hash": ("string", lambda r: r.spec_hash),
    "cell_path": ("string", lambda r: r.cell_path),
}
"""Columns that every frame has: their type, and where the value comes from."""


def load_results(path: str | Path | Iterable[str | Path]) -> pd.DataFrame:
    """Load results as a tidy frame, one row a run (trials and finals).

    The first columns name the run: ``model``, ``dataset``, ``method``, ``kind``, ``number``, ``seed``,
    ``status``. ``selected`` is true for the best trial of a cell and for the finals of its
    configuration: the runs that the table is made of. Families of columns follow: ``param.*`` (what
    the study chose), ``validation.*`` (at the best step), ``test.*``, ``transfer.<data set>.*`` (tests on
    data sets that finals were not trained on), ``seconds.*``, ``memory.<phase>.*_bytes``,
    ``tokens_per_second.*``, ``flops.*``, ``note.*``, ``retention.*`` (bits per byte) and
    ``measurement.*``. What was not measured is missing (``pandas.NA``). ``frame.attrs["left_out"]`` says how many
    records do not count, and why.

    Args:
        path: a results folder, or several that are merged.

    Raises:
        BadInput: a folder is missing, is no results folder, or holds no record that counts.
    """
    return results_frame(collect(path))


def results_frame(results: Results) -> pd.DataFrame:
    """Build the frame of `load_results` from results that are already read."""
    records = results.records
    labels = [record.spec.cell.labels for record in records]
    selected = {id(run) for cell in results.cells for run in [*cell.best_trials.values(), *cell.finals]}
    columns = {
        "model": typed([model for model, _, _ in labels], "string"),
        "dataset": typed([dataset for _, dataset, _ in labels], "string"),
        "method": typed([results.method_labels[record.cell_path] for record in records], "string"),
    }
    for name, (dtype, value) in _FIXED.items():
        columns[name] = typed([value(record) for record in records], dtype)
    columns["selected"] = typed([id(record) in selected for record in records], "boolean")
    columns["results"] = typed(results.folders, "string")
    families = [_families(record) for record in records]
    for family in _families(records[0]):
        for key in sorted({key for values in families for key in values[family]}):
            columns[f"{family}.{key}"] = typed(values[family].get(key) for values in families)
    frame = pd.DataFrame(columns)
    frame.attrs["left_out"] = {
        "stale": results.stale,
        "unreadable": len(results.unreadable),
        "repeated": results.repeated,
    }
    return frame


def typed(values: Iterable[Any], dtype: str | None = None) -> pd.Series[Any]:
    """Make a column in which None is missing; without ``dtype`` the values' own type decides, text if they differ.

    pandas' own guess would turn whole numbers with a gap into floats, and scores that happen to be
    0.0 and 1.0 into whole numbers.
    """
    values = list(values)
    if dtype is None:
        kinds = {type(value) for value in values if value is not None}
        if kinds == {bool}:
            dtype = "boolean"
        elif kinds == {int}:
            dtype = "Int64"
        elif kinds <= {int, float}:
            dtype = "Float64"
        else:
            dtype = "object" if len(kinds) == 1 and kinds != {str} else "string"
    return pd.Series(
        [pd.NA if value is None else str(value) if dtype == "string" else value for value in values], dtype=dtype
    )


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dictionaries in which what is missing is None."""
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def _families(record: TrialRecord) -> dict[str, Mapping[str, Any]]:
    return {
        "param": record.spec.params,
        "validation": _evaluated(validation_at_best(record)),
        "test": _evaluated(record.test),
        "transfer": {
            f"{dataset}.{name}": value
            for dataset, one in record.transfer.items()
            for name, value in _evaluated(one.test).items()
        },
        "seconds": record.seconds,
        "memory": {
            f"{phase}.{figure}": value
            for phase, figures in record.memory.items()
            for figure, value in figures.model_dump(exclude_none=True).items()
        },
        "tokens_per_second": record.tokens_per_second,
        "flops": record.flops,
        "note": record.notes,
        "retention": record.retention.model_dump(include={"before", "after"}, exclude_none=True)
        if record.retention
        else {},
        "measurement": record.measurements,
    }


def validation_at_best(record: TrialRecord) -> Evaluated | None:
    """Return the validation at the step whose weights were kept."""
    curve = record.validation_curve
    if record.best_step is None:
        return curve[0] if len(curve) == 1 else None
    return next((point for point in curve if point.step == record.best_step), None)


def _evaluated(point: Evaluated | None) -> dict[str, Any]:
    extra = {"loss", "perplexity"}
    return {**point.metrics, **point.model_dump(include=extra, exclude_none=True)} if point else {}
