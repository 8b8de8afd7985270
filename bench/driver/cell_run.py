"""One cell on its way: trials, repeats of the best, then finals; what has run, what runs, what is to run again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from bench.core.config import derive_seed
from bench.core.distributions import Scalar
from bench.experiment.cell import Cell
from bench.runs.record import BROKEN, FAILED, TrialRecord
from bench.runs.selection import best_trials, finals_of, to_repeat
from bench.runs.spec import TrialSpec
from bench.runs.store import RecordStore
from bench.search.study import Search


class CellRun:
    """One cell on its way.

    Args:
        retry_failed: run every trial again that did not end well, not just those that lost their worker.
    """

    def __init__(self, experiment: str, cell: Cell, store: RecordStore, retry_failed: bool = False) -> None:
        self.cell = cell
        self.path = cell.path
        self._experiment = experiment
        self._running: dict[str, TrialSpec] = {}
        self._again: list[TrialSpec] = []
        self._attempts: dict[str, int] = {}
        self.trials: dict[int, TrialRecord] = {}
        """The trials that have ended and count, by number, without their training curves."""
        self._repeats: dict[int, TrialRecord] = {}
        """The repeats that have ended, by the number of the trial that they repeat."""
        self._lost: set[int] = set()
        """Those of them that are to run again."""
        self._chosen: dict[int, TrialRecord] | None = None
        """What `_best` found, while it holds."""
        self._finals: dict[str, TrialRecord] = {}
        self._failures = self._tokens = 0
        self._seconds = 0.0
        self._infeasible: str | None = None
        self._refused: dict[str, TrialRecord] = {}
        """Records that say why no trial began, on a machine that may not have been this one."""
        for record in store.iter_cell(self.path):
            spec = record.spec.model_copy(update={"cell": cell})
            if spec.kind == "final" and spec.hash != record.spec_hash:
                continue  # what is asked of finals besides their own test split has changed since (`Cell.transfer`)
            if _runs_again(record, cell, retry_failed):
                if spec.kind == "repeat":  # if its trial is still one of the best; until then it counts as it ended
                    self._keep(record, spec)
                    self._lost.add(spec.number)
                    continue
                self._again.append(spec)
                self._refused |= {spec.hash: record} if _never_began(record) else {}
                continue
            self._keep(record, spec)
        again = {s.number: s.params for s in self._again if s.kind == "trial"}
        self._searches = [Search(cell, self.trials.values(), again, study=study) for study in range(cell.studies)]

    @property
    def records(self) -> list[TrialRecord]:
        """What has ended so far and counts, without training curves: trials, repeats, and the finals of the best."""
        finals = finals_of(self._best, self._finals.values(), self.cell.studies)
        return [*self.trials.values(), *self._repeats.values(), *finals]

    @property
    def running(self) -> int:
        """Runs under way."""
        return len(self._running)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self._running and not self.ready

    @property
    def stopped(self) -> str | None:
        """Why no further trial begins although fewer than planned have run; None if that is not so."""
        study = self.cell.study
        if self._infeasible is not None:
            return self._infeasible
        if study.max_failures is not None and self._failures >= study.max_failures:
            return f"{self._failures} trials failed (study.max_failures)"
        studies = self.cell.studies
        if len(self.trials) < studies:  # a fold whose study has no trial would have no final
            return None
        if study.budget.seconds is not None and self._seconds >= studies * study.budget.seconds:
            return f"its {studies * study.budget.seconds:g} s are used up (study.budget.seconds)"
        if study.budget.tokens is not None and self._tokens >= studies * study.budget.tokens:
            return f"its {studies * study.budget.tokens} training tokens are used up (study.budget.tokens)"
        return None

    def refuse(self, reason: str) -> TrialSpec | None:
        """Begin no further run: what is known of the cell before anything runs says that none can.

        Returns:
            the run whose record is to say so; None if one does, or others are there.
        """
        for spec in [spec for spec in self._again if spec.hash in self._refused]:
            if self._refused[spec.hash].reason == reason:
                self._again.remove(spec)
                self._keep(self._refused[spec.hash], spec)
        speaks = self.next_spec() if not self.records and self.ready else None
        self._infeasible = reason
        self._again.clear()
        return speaks

    @property
    def ready(self) -> bool:
        """Whether a run can begin now; else the cell waits, or is through."""
        if self._retry() is not None or self._missing_trial() is not None or self._missing_repeat() is not None:
            return True
        return self._settled and self._missing_final() is not None

    def next_spec(self) -> TrialSpec:
        """Return the next run to begin."""
        if (spec := self._retry()) is not None:
            self._again.remove(spec)
        elif (number := self._missing_trial()) is not None:
            spec = self._spec("trial", number, self._searches[number % self.cell.studies].ask(number))
        else:
            spec = self._missing_repeat() or self._missing_final()
            assert spec is not None, "nothing left to run"
        self._running[spec.hash] = spec
        return spec

    def _spec(self, kind: Literal["trial", "repeat", "final"], number: int, params: Mapping[str, Scalar]) -> TrialSpec:
        # The n-th final of every cell has the same seed, so that they can be paired; else it is of the cell.
        of = (kind, number) if kind == "final" else (self.cell.hash, kind, number)
        return TrialSpec(
            experiment=self._experiment,
            cell=self.cell,
            kind=kind,
            number=number,
            seed=derive_seed(self.cell.seed, *of),
            params=dict(params),
        )

    def should_prune(self, spec: TrialSpec, step: int, value: float) -> bool:
        """Ask the study about a running trial; repeats and finals are never pruned."""
        return spec.kind == "trial" and self._searches[spec.study].should_prune(spec.number, step, value)

    def retry(self, record: TrialRecord) -> bool:
        """Take back a run whose worker died; False if it was tried often enough, or did not die."""
        attempts = self._attempts[record.spec_hash] = self._attempts.get(record.spec_hash, 0) + 1
        if record.status != "killed" or attempts > self.cell.runtime.retries:
            return False
        spec = self._running.pop(record.spec_hash)
        if spec.kind != "repeat":  # a repeat is missing again
            self._again.append(spec)
        return True

    def finish(self, record: TrialRecord) -> None:
        """Take in a record that is on disk, and tell the study."""
        spec = self._running.pop(record.spec_hash)
        self._attempts.pop(record.spec_hash, None)
        if spec.kind == "trial":
            self._searches[spec.study].tell(record)
        self._keep(record, spec)

    def _keep(self, record: TrialRecord, spec: TrialSpec) -> None:
        # A curve of thousands of steps is for reports, which read the file.
        kept = record.model_copy(update={"spec": spec, "train_curve": [], "predictions": None})
        if spec.kind == "trial":
            self.trials[spec.number] = kept
            self._failures += record.status in BROKEN
            self._seconds += record.seconds.get("total", 0.0)
            self._tokens += sum(step.tokens for step in record.train_curve)
            self._chosen = None
        elif spec.kind == "repeat":
            self._repeats[spec.number] = kept
            self._lost.discard(spec.number)
            self._chosen = None
        else:
            self._finals[record.spec_hash] = kept

    @property
    def _best(self) -> dict[int, TrialRecord]:
        """The best trial of each study."""
        if self._chosen is None:
            self._chosen = best_trials([*self.trials.values(), *self._repeats.values()], self.cell.studies)
        return self._chosen

    @property
    def _settled(self) -> bool:
        """Whether nothing is missing or under way that could make another trial the best one."""
        return (
            not self._on_the_way("trial", "repeat") and self._missing_trial() is None and self._missing_repeat() is None
        )

    def _on_the_way(self, *kinds: str) -> set[int]:
        """Return the numbers of runs that are under way or wait to run again."""
        return {spec.number for spec in [*self._running.values(), *self._again] if spec.kind in kinds}

    def _retry(self) -> TrialSpec | None:
        """Return the first run to run again. Finals wait: another trial may become the best one."""
        trial = next((spec for spec in self._again if spec.kind == "trial"), None)
        if trial is not None or not self._settled:
            return trial
        return next((spec for spec in self._again if spec.params == self._final_params(spec.study)), None)

    def _missing_trial(self) -> int | None:
        if self.stopped is not None:
            return None
        taken = self._on_the_way("trial")
        return next((n for n in range(self.cell.study.trials) if n not in self.trials and n not in taken), None)

    def _missing_repeat(self) -> TrialSpec | None:
        each = self.cell.planned_repeats // self.cell.studies
        if not each or self._infeasible is not None or self._on_the_way("trial") or self._missing_trial() is not None:
            return None
        running = self._on_the_way("repeat")
        for trial in to_repeat(self.trials.values(), each, self.cell.studies):
            number, params = trial.spec.number, trial.spec.params
            ended = self._repeats.get(number)
            stands = ended is not None and ended.spec.params == params and number not in self._lost
            if not stands and number not in running:
                return self._spec("repeat", number, params)
        return None

    def _final_params(self, study: int) -> dict[str, Scalar] | None:
        """Return what a study's finals run: its best trial's values, the defaults if nothing is searched, or None."""
        if self._infeasible is not None:
            return None
        if study in self._best:
            return self._best[study].spec.params
        return None if self.cell.search or self.cell.study.trials else {}

    def _missing_final(self) -> TrialSpec | None:
        waiting = {spec.hash for spec in self._again}
        for number in range(self.cell.planned_finals):
            params = self._final_params(number % self.cell.studies)
            if params is None:
                continue
            spec = self._spec("final", number, params)
            if not {spec.hash} & (self._finals.keys() | self._running.keys() | waiting):
                return spec
        return None


def _runs_again(record: TrialRecord, cell: Cell, retry_failed: bool) -> bool:
    """Whether a run of an earlier driver is repeated: its worker died, its time limit was raised, or it never began."""
    if _never_began(record):
        return True
    if record.status == "timeout":
        old, new = record.spec.cell.runtime.trial_timeout, cell.runtime.trial_timeout
        return retry_failed or (old is not None and (new is None or new > old))
    return record.status == "killed" or (retry_failed and record.status in FAILED)


def _never_began(record: TrialRecord) -> bool:
    """Whether a cell was refused by this record (`CellRun.refuse`), not by a trial."""
    return record.status == "infeasible" and not record.seconds
