"""One cell's study: which points to try, which to stop, and how to go on after an interruption."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from bench.core.config import canonical_json, derive_seed
from bench.core.distributions import Scalar
from bench.core.errors import BadInput, one_line
from bench.experiment.cell import Cell
from bench.experiment.grid import cell_grid, number_of_points, own_values
from bench.runs.objectives import greater_is_better, objective_values
from bench.runs.record import TrialRecord
from bench.search.samplers import MEMORYLESS_PRUNERS, MEMORYLESS_SAMPLERS, SEQUENCES, build_pruner, build_sampler
from bench.search.space import distributions
from bench.search.unrepeated import Unrepeated

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
# A constraint is told to every sampler; some make no use of it.
warnings.filterwarnings("ignore", message="Constraints have been set")

# Out of memory, divergence and impossible configurations are told as pruned and as violating a constraint: the
# sampler learns to leave the region. A failed trial it ignores, and samples there again.
_INFEASIBLE = ("diverged", "oom", "infeasible")
CONSTRAINT = "runs"
"""Name of the constraint that such a trial violates."""


class Search:
    """An Optuna study in memory, rebuilt from the cell's records whenever the driver starts.

    Every trial's sampler is seeded from root seed, cell and trial number, so a resumed study asks for
    the points that the uninterrupted one would have asked for. Samplers and pruners that keep notes in the study
    (CMA-ES, Hyperband) get them back because the records are replayed through them.
    """

    def __init__(
        self,
        cell: Cell,
        records: Iterable[TrialRecord],
        again: Mapping[int, Mapping[str, Scalar]] | None = None,
        before: int | None = None,
        study: int = 0,
    ) -> None:
        """Take in what is there.

        Args:
            cell: whose study it is.
            records: of the cell's trials that have ended and count.
            again: the points of those that are to run again, by number.
            before: the study is to be as it was before this trial, whose point must still be new among all records.
            study: which of the cell's studies it is: the one of trials ``study``, ``study + cell.studies`` and so on.
        """
        self.cell = cell
        self._first = study
        records = list(records)
        known = {record.spec.number: record for record in records if record.spec.number % cell.studies == study}
        again = {number: params for number, params in (again or {}).items() if number % cell.studies == study}
        self._distributions = distributions(cell)
        self._grid = cell_grid(cell) if cell.study.sampler == "grid" else None
        memoryless = cell.study.sampler in MEMORYLESS_SAMPLERS
        replay = not (memoryless and cell.study.pruner in MEMORYLESS_PRUNERS)
        self._study = optuna.create_study(
            directions=directions(cell),
            pruner=build_pruner(cell.study, cell.training),
            study_name=cell.path,  # Hyperband derives a trial's bracket from it
        )
        self._tried: dict[int, str] = {}
        """The points so far, by number."""
        self._open: dict[int, optuna.trial.Trial] = {}
        self._reported: dict[int, set[int]] = {}
        """Steps of open trials whose score the study has."""
        self._before: dict[int, Search] = {}
        """For a trial that is repeated although later ones have ended: the study as it was before that trial."""
        end = max([*known, *again], default=-1) + 1 if before is None else before
        for number in range(study, end, cell.studies):
            if number in known and replay:
                self._replay(known[number], memoryless)
            elif number in known:
                self._add(known[number])
            elif before is None and (number in again or number < cell.study.trials):
                self._fill(number, known.values(), again.get(number))
        self._tried |= {number: canonical_json(record.spec.params) for number, record in known.items()}

    def ask(self, number: int) -> dict[str, Scalar]:
        """Return the point of trial ``number``; the first is the method's defaults."""
        if number in self._open:
            return dict(self._open[number].params)
        seeded_by = self._first if self.cell.study.sampler in SEQUENCES else number
        self._study.sampler = build_sampler(self.cell.study, self._seed(seeded_by))
        tried = set(self._tried.values())
        points = number_of_points(self.cell.search)
        if points is not None and len(tried) < points:
            self._study.sampler = Unrepeated(
                self._study.sampler, self.cell.search, self._distributions, tried, self._seed(number)
            )
        if self._grid is not None:
            self._study.enqueue_trial(self._grid[number // self.cell.studies % len(self._grid)])
        elif number == self._first:
            self._study.enqueue_trial(own_values(self.cell))  # the cell's own, where they lie inside the range
        return self._begin(number)

    def reopen(self, number: int, params: Mapping[str, Scalar]) -> None:
        """Begin a trial again whose point is known, because its worker had died."""
        self._study.sampler = optuna.samplers.RandomSampler(seed=0)
        self._study.enqueue_trial(dict(params))
        self._begin(number)

    def should_prune(self, number: int, step: int, value: float) -> bool:
        """Hear of a validation score of a running trial; True if the trial is not worth going on."""
        if len(self.cell.study.objectives) > 1:
            return False
        trial = self._open[number]
        # A trial that runs again after its worker died reports its first steps again.
        reported = self._reported.setdefault(number, set())
        if step not in reported:
            reported.add(step)
            trial.report(value, step)
        verdict = bool(trial.should_prune())
        before = self._before.get(number)
        return verdict if before is None else before.should_prune(number, step, value)

    def tell(self, record: TrialRecord) -> None:
        """Hear how a trial ended."""
        number = record.spec.number
        trial = self._open.pop(number)
        self._before.pop(number, None)
        self._reported.pop(number, None)
        state, values = outcome(record)
        if record.status in _INFEASIBLE:
            trial.set_constraint(CONSTRAINT, 1.0)
        self._study.tell(trial, values, state)

    def _fill(self, number: int, known: Iterable[TrialRecord], params: Mapping[str, Scalar] | None) -> None:
        """Open a trial whose record is missing among others: what came before it decides, as the first time."""
        before = Search(self.cell, known, before=number, study=self._first)
        if params is None:
            params = before.ask(number)
        else:
            before.reopen(number, params)
        self._before[number] = before
        self.reopen(number, params)

    def _begin(self, number: int) -> dict[str, Scalar]:
        try:
            trial = self._study.ask(self._distributions)
        except Exception as error:  # what a sampler that the user has named cannot search
            what = f"study.sampler: {self.cell.study.sampler} cannot search {self.cell.title}"
            raise BadInput(f"{what}: {one_line(error)}") from error
        self._open[number] = trial
        self._tried[number] = canonical_json(trial.params)
        return dict(trial.params)

    def _add(self, record: TrialRecord) -> None:
        self._study.add_trial(frozen(record, self._distributions))
        self._tried[record.spec.number] = canonical_json(record.spec.params)

    def _replay(self, record: TrialRecord, memoryless: bool) -> None:
        """Take a record through ask, report and tell, as when it ran."""
        number = record.spec.number
        if memoryless:
            self.reopen(number, record.spec.params)
        elif self.ask(number) != record.spec.params:
            # With several workers it was asked for when less was known. What it found counts all the same.
            self._study.tell(self._open.pop(number), state=TrialState.FAIL)
            self._add(record)
            return
        for step, value in curve(record).items():
            self.should_prune(number, step, value)
        self.tell(record)

    def _seed(self, number: int) -> int:
        return derive_seed(self.cell.seed, self.cell.hash, "sampler", number)


def directions(cell: Cell) -> list[StudyDirection]:
    """Return Optuna's direction of each objective."""
    up, down = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    return [up if greater_is_better(cell, name) else down for name in cell.study.objectives]


def outcome(record: TrialRecord) -> tuple[TrialState, list[float] | None]:
    """Return state and values that tell Optuna how a trial ended."""
    values = objective_values(record, record.spec.cell.study.objectives)
    if values is not None:
        return TrialState.COMPLETE, values
    return TrialState.PRUNED if record.status in ("pruned", *_INFEASIBLE) else TrialState.FAIL, None


def curve(record: TrialRecord) -> dict[int, float]:
    """Return the validation scores by step."""
    return {e.step: e.metrics[record.spec.cell.objective] for e in record.validation_curve}


def frozen(record: TrialRecord, space: Mapping[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    """Return a record as a finished trial of Optuna."""
    state, values = outcome(record)
    return optuna.trial.create_trial(
        state=state,
        values=values,
        params=dict(record.spec.params),
        distributions=dict(space),
        intermediate_values=curve(record) if len(record.spec.cell.study.objectives) == 1 else {},
        constraints={CONSTRAINT: 1.0} if record.status in _INFEASIBLE else None,
        user_attrs={"status": record.status, **({"reason": record.reason} if record.reason else {})},
    )
