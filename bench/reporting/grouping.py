"""From records to cells, and to the groups of cells that are held against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.experiment.terms import EQUAL_STEPS
from bench.reporting.cells import CellResults, Group
from bench.runs.record import TrialRecord
from bench.runs.selection import best_trial, best_trials, finals_of


def group_cells(
    records: Iterable[TrialRecord],
    methods: Mapping[str, str] | None = None,
    metric: str | None = None,
    terms: Mapping[str, str] | None = None,
) -> list[CellResults]:
    """Group records into cells, ordered by data set, metric, size of the model, model and method.

    A cell whose finals ran on several devices or in several precisions is a row for each: they are never averaged.

    Args:
        records: of any number of cells.
        methods: cell path to the label of its method, where it is not the label of the record.
        metric: what scores are read by, where it is not the metric that the studies optimised.
        terms: cell path to the terms of its experiment, where they are not equal steps.
    """
    by_path: dict[str, list[TrialRecord]] = {}
    sizes: dict[str, int] = {}
    networks: dict[str, str] = {}
    for record in records:
        by_path.setdefault(record.cell_path, []).append(record)
        model = record.spec.cell.labels[0]
        size = _base_parameters([record])
        if size is not None:
            sizes.setdefault(model, size)
        if network := record.notes.get("network"):
            networks.setdefault(model, str(network))
    cells = []
    found: dict[tuple[str, str, str], Group] = {}
    for path, runs in by_path.items():
        model, dataset, method = runs[0].spec.cell.labels
        # A cell that never got as far as loading its model still has its place on the size axis.
        base = _base_parameters(runs) or sizes.get(model)
        group = found.setdefault((dataset, metric or runs[0].spec.cell.objective, model), Group())
        label, on_terms = (methods or {}).get(path, method), (terms or {}).get(path, EQUAL_STEPS)
        for where, members, best in _by_device(runs):
            cells.append(
                CellResults(
                    model,
                    dataset,
                    label + where,
                    members,
                    base,
                    networks.get(model),
                    metric,
                    on_terms,
                    best,
                    group=group,
                )
            )
    cells.sort(key=_order)
    for cell in cells:
        # A method without a model stands beside those of every model.
        alike = (group for key, group in found.items() if key[:2] == (cell.dataset, cell.metric))
        for group in [cell.group] if cell.uses_model else alike:
            group.cells.append(cell)
    return cells


def _by_device(
    runs: Sequence[TrialRecord],
) -> Iterator[tuple[str, tuple[TrialRecord, ...], Mapping[int, TrialRecord] | None]]:
    """Split the runs of a cell by device and precision of its finals: what to add to its label, runs, best trials.

    The study, and finals of which nobody knows where they failed, stay with the finals that ran as the best trial did.
    """
    studies = runs[0].spec.cell.studies
    chosen = best_trials(runs, studies)
    best = best_trial(chosen.values())
    finals = finals_of(chosen, runs, studies)
    places = {_ran_on(run) for run in finals if run.status == "ok"}
    tested = {id(run): _ran_on(run) for run in finals if _ran_on(run) in places}
    if len(places) < 2:
        yield "", tuple(runs), None
        return
    home, *others = sorted(places, key=lambda key: (best is None or key != _ran_on(best), key))
    yield f" [{', '.join(home)}]", tuple(run for run in runs if tested.get(id(run), home) == home), None
    for key in others:
        yield f" [{', '.join(key)}]", tuple(run for run in runs if tested.get(id(run)) == key), chosen


def _ran_on(run: TrialRecord) -> tuple[str, str]:
    return run.provenance.device or "unknown device", run.provenance.precision or "unknown precision"


def _base_parameters(runs: Iterable[TrialRecord]) -> int | None:
    counts = (run.parameters.base for run in runs if run.parameters and run.spec.cell.model)
    return next((count for count in counts if count), None)


def _order(cell: CellResults) -> tuple[str, str, bool, float, str, str]:
    size = float("inf") if cell.base_parameters is None else cell.base_parameters
    return (cell.dataset, cell.metric, cell.uses_model, size, cell.model, cell.method)
