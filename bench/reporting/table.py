"""The table of a comparison: one row a cell, whatever became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from bench.core.config import canonical_json
from bench.reporting.cells import CellResults, Transfer
from bench.reporting.frame import typed
from bench.reporting.statistics.intervals import Interval
from bench.runs.record import STATUSES, Parameters, TrialRecord

PHASES = ("load", "train", "validate", "test")
"""The phases whose memory has columns of its own, and the words for each figure of `PhaseMemory`."""
_MEMORY = {
    "live_tensor_peak_bytes": "peak_live_tensors_bytes",
    "resident_peak_bytes": "peak_resident_set_bytes",
    "cuda_allocated_peak_bytes": "cuda_allocated_peak_bytes",
    "cuda_reserved_peak_bytes": "cuda_reserved_peak_bytes",
}

_Value = Callable[[CellResults], Any]


def _over(
    combine: Callable[[list[Any]], Any],
    value: Callable[[Any], Any],
    of: Callable[[CellResults], Iterable[Any]] = lambda cell: cell.measured,
) -> _Value:
    """Return what combines a figure of the runs that are measured, or of others; None where none has it."""

    def combined(cell: CellResults) -> Any:
        values = [found for run in of(cell) if (found := value(run)) is not None]
        return combine(values) if values else None

    return combined


def _ended(status: str, cell: CellResults) -> int:
    return sum(run.status == status for run in cell.runs)


def _parameters(cell: CellResults) -> Parameters | None:
    return next((run.parameters for run in [*cell.measured, *cell.runs] if run.parameters), None)


def _peak(phase: str, figure: str, run: TrialRecord) -> int | None:
    memory = run.memory.get(phase)
    peak: int | None = getattr(memory, figure) if memory else None
    return peak


def _resident(run: TrialRecord) -> int | None:
    """Return the peak over all phases: the process that is to fit into the machine."""
    peaks = [phase.resident_peak_bytes for phase in run.memory.values() if phase.resident_peak_bytes is not None]
    return max(peaks, default=None)


def _tested_finals(cell: CellResults) -> int:
    """Return how many the mean is over; of a method that the main metric does not score, those that another does."""
    return len(cell.scores) or max(map(len, cell.metrics.values()), default=0)


def _placed(value: _Value) -> _Value:
    """Leave out methods that have no place among those of a model: without a model, or without a score."""
    return lambda cell: value(cell) if cell.uses_model and cell.mean is not None else None


@_placed
def _standing(cell: CellResults) -> str | None:
    """Return ``best`` for `Group.best`, ``second`` for the next rank; methods share a place."""
    ranks = cell.group.verdicts.ranks
    if not cell.group.best or cell.key not in ranks:
        return None
    second = min((rank for rank in ranks.values() if rank > 1), default=None)
    return "best" if cell in cell.group.best else "second" if ranks[cell.key] == second else None


@_placed
def _to_best(cell: CellResults) -> str | None:
    """Return the verdict on the gap to the highest mean; None for that one itself."""
    first = cell.group.tested[0]
    return None if cell is first else cell.group.between(cell, first).verdict


def _full(cell: CellResults) -> CellResults | None:
    """Return full fine-tuning of the same model, by whatever name: every parameter was trained."""
    for one in cell.group.tested:
        if (counts := _parameters(one)) and counts.base and counts.trainable == counts.total:
            return None if one is cell else one
    return None


@_placed
def _gap_to_full(cell: CellResults) -> float | None:
    full = _full(cell)
    return None if full is None else cell.group.gap(cell, full)


@_placed
def _to_full(cell: CellResults) -> Interval | None:
    full = _full(cell)
    return None if full is None else cell.group.between(cell, full).interval


_COLUMNS: dict[str, tuple[str, _Value]] = {
    "dataset": ("string", lambda c: c.dataset),
    "model": ("string", lambda c: c.model),
    "method": ("string", lambda c: c.method),
    "base_parameters": ("Int64", lambda c: c.base_parameters),
    "metric": ("string", lambda c: c.metric),
    "greater_is_better": ("boolean", lambda c: c.greater_is_better),
    "stochastic": ("boolean", lambda c: c.stochastic),
    "test_mean": ("Float64", lambda c: c.mean),
    "test_sd": ("Float64", lambda c: c.sd),
    "test_low": ("Float64", lambda c: c.interval and c.interval.low),
    "test_high": ("Float64", lambda c: c.interval and c.interval.high),
    "test_seeds": ("Int64", _tested_finals),
    "folds": ("Int64", lambda c: c.folds),
    "test_items": ("Int64", lambda c: c.test_items),
    "truncated_test": ("Int64", lambda c: c.cut("inputs").get("test")),
    "truncated_train": ("Int64", lambda c: c.cut("inputs").get("train")),
    "standing": ("string", _standing),
    "rank": ("Int64", _placed(lambda c: c.group.verdicts.ranks.get(c.key))),
    "gap_to_best": ("string", _to_best),
    "resolution": ("Float64", _placed(lambda c: c.group.verdicts.resolution)),
    "agreement": ("Float64", lambda c: c.agreement),
    "gap_to_full": ("Float64", _gap_to_full),
    "gap_to_full_low": ("Float64", lambda c: (found := _to_full(c)) and found.low),
    "gap_to_full_high": ("Float64", lambda c: (found := _to_full(c)) and found.high),
    "validation_best": ("Float64", lambda c: c.validation_best),
    "best_params": ("string", lambda c: None if c.best_params is None else canonical_json(c.best_params)),
    "trainable_parameters": ("Int64", lambda c: (found := _parameters(c)) and found.trainable),
    "total_parameters": ("Int64", lambda c: (found := _parameters(c)) and found.total),
    "trainable_percent": ("Float64", lambda c: (found := _parameters(c)) and found.percent),
    "adapter_bytes": ("Int64", _over(max, lambda run: run.parameters and run.parameters.adapter_bytes)),
    "peak_resident_set_bytes": ("Int64", _over(max, _resident)),
    **{
        f"{phase}_{name}": ("Int64", _over(max, partial(_peak, phase, figure)))
        for figure, name in _MEMORY.items()
        for phase in PHASES
    },
    "train_seconds": ("Float64", _over(fmean, lambda run: run.seconds.get("train"))),
    "test_seconds": ("Float64", _over(fmean, lambda run: run.seconds.get("test"))),
    "train_tokens_per_second": ("Float64", _over(fmean, lambda run: run.tokens_per_second.get("train"))),
    "test_tokens_per_second": ("Float64", _over(fmean, lambda run: run.tokens_per_second.get("test"))),
    "train_flops": ("Float64", _over(fmean, lambda run: run.flops.get("train"))),
    "example_flops": ("Float64", _over(fmean, lambda run: run.flops.get("example"))),
    "search_seconds": ("Float64", _over(sum, lambda run: run.seconds.get("total"), lambda cell: cell.trials)),
    "workers": ("Int64", _over(max, lambda run: run.provenance.workers, lambda cell: cell.runs)),
    "train_seconds_of_earlier_version": ("boolean", lambda c: c.times_of_earlier_version or None),
    "retention_before": ("Float64", _over(fmean, lambda one: one.before, lambda cell: cell.retained)),
    "retention_after": ("Float64", _over(fmean, lambda one: one.after, lambda cell: cell.retained)),
    "retention_loss": ("Float64", lambda c: c.retention_loss),
    "non_label_share": ("Float64", _over(fmean, lambda run: run.non_label_share)),
    **{f"runs_{status}": ("Int64", partial(_ended, status)) for status in STATUSES},
    "superseded_finals": ("Int64", lambda c: c.superseded),
    "differs": ("string", lambda c: ", ".join(c.mixed) or None),
}
"""What a row says of a cell and its place: the type of each column, and where its value comes from."""

_OPTIONAL = {f"{phase}_{figure}" for figure in _MEMORY.values() for phase in PHASES} - {"train_peak_live_tensors_bytes"}
_OPTIONAL |= {"truncated_test", "truncated_train", "workers", "train_seconds_of_earlier_version"}
_OPTIONAL |= {"retention_before", "retention_after", "retention_loss"}
"""Columns that are there only where something was measured."""


def summarise_cells(cells: Sequence[CellResults]) -> pd.DataFrame:
    """Summarise cells, in their order, one row a cell; a cell without any good run has its row too.

    ``test_mean``, ``test_sd`` (n - 1 below the line, missing below two seeds), ``test_low`` and
    ``test_high`` (95 % interval of the mean over seeds and test items, missing below three seeds, 20 items or without
    predictions) and ``test_seeds`` are the main metric on the test split over the finals of the best trial's
    configuration; ``test_items`` is how many examples it has, ``agreement`` how often two seeds answer the same one
    alike.
    ``test.<metric>`` and ``test.<metric>.sd`` are the other metrics there. ``truncated_test`` and
    ``truncated_train`` are how many texts were cut to fit the context, missing where none was.
    ``standing`` (``best``, ``second``), ``rank`` (one more than the number of methods that are better beyond chance)
    and ``gap_to_best`` (whether the gap to the highest mean is ``beyond`` or ``within`` chance, or why that is not
    known) are the verdicts on the methods of a model on a data set (docs/statistics.md), ``resolution`` is half the
    width of the 95 % interval of a gap between two of them, the median of all pairs, ``gap_to_full`` is the mean minus
    that of full fine-tuning. Times, FLOPs, shares and
    ``measurement.*`` (what a method measures itself) are means, memory is the peak, all over these
    finals (over the best trial where there are none); ``search_seconds`` is what all trials took, without repeats.
    ``workers`` is how many trials ran at the same time: with more than one, times are those of a shared machine.
    ``train_seconds_of_earlier_version`` says that train times hold tokenising, measuring and saving as well.
    ``retention_before``, ``retention_after`` and ``retention_loss`` (the difference) are bits per byte on general text.
    ``transfer.<data set>.<metric>`` and ``.._sd`` are what these finals scored on the test split of another data set;
    ``frame.attrs["transfer"]`` has data set and metric of each.
    ``runs_<status>`` counts all runs of the cell: trials, repeats and finals. ``differs`` names what is not the
    same in all its runs: git commit, model and data revision, device, precision, version of torch. Columns of memory
    by phase are there only where it was measured. ``model`` is ``none`` for methods that use no model.
    """
    columns = {name: typed(map(value, cells), dtype) for name, (dtype, value) in _COLUMNS.items()}
    for name in _OPTIONAL:
        if columns[name].isna().all():
            del columns[name]
    for of, ordered in ((_secondary, list), (_measurements, sorted), (_transfers, list)):
        found = [of(cell) for cell in cells]
        for name in ordered(dict.fromkeys(name for values in found for name in values)):
            columns[name] = typed([values.get(name) for values in found], "Float64")
    frame = pd.DataFrame(columns)
    # Labels may have dots: where one ends cannot be read from the name of the column.
    frame.attrs["transfer"] = {
        _transfer_column(one): [one.dataset, one.metric] for cell in cells for one in cell.transfers if one.scores
    }
    return frame


_SHARES = {
    "end": "answers_that_end",
    "stop": "answers_at_a_stop_text",
    "limit": "answers_at_the_limit",
    "empty": "empty_answers",
    "repeating": "repeating_answers",
}
"""Shares of `bench.runs.record.Answers`, as columns name them."""


def _secondary(cell: CellResults) -> dict[str, float | None]:
    """Return mean and standard deviation of the metrics on test besides the main one."""
    found: dict[str, float | None] = {}
    for metric, values in cell.metrics.items():
        if metric != cell.metric:
            found[f"test.{metric}"] = fmean(values)
            found[f"test.{metric}.sd"] = stdev(values) if len(values) > 1 else None
    return found


def _measurements(cell: CellResults) -> dict[str, float]:
    """Return the means of what the method measured itself, and of how its written answers ended (shares, 0 to 1)."""
    values: dict[str, list[float]] = {}
    for run in cell.measured:
        shares = run.answers.shares if run.answers else {}
        for name, value in {**run.measurements, **{_SHARES[name]: share for name, share in shares.items()}}.items():
            values.setdefault(name, []).append(value)
    return {f"measurement.{name}": fmean(found) for name, found in values.items()}


def _transfers(cell: CellResults) -> dict[str, float | None]:
    """Return mean and standard deviation of the main metric of each data set that the finals were tested on too."""
    values: dict[str, float | None] = {}
    for one in cell.transfers:
        name = _transfer_column(one)
        values |= {name: one.mean, f"{name}_sd": one.sd} if one.scores else {}
    return values


def _transfer_column(one: Transfer) -> str:
    return f"transfer.{one.dataset}.{one.metric}"
