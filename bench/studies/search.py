"""One cell's study: which points to try, which to stop, and how to go on after an interruption."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from bench.config import derive_seed
from bench.methods import methods
from bench.records import TrialRecord
from bench.spec import Cell, Choice, Float, Scalar, Study

optuna.logging.set_verbosity(optuna.logging.WARNING)

# Out of memory, divergence and impossible configurations are told as pruned: TPE learns from a
# pruned trial to leave the region, and ignores a failed one.
_STATES = {
    "ok": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "oom": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
}


class Search:
    """An Optuna study in memory, rebuilt from the cell's records whenever the driver starts.

    Every trial's sampler is seeded from root seed, cell and trial number, so a resumed study asks for
    the points that the uninterrupted one would have asked for.
    """

    def __init__(self, cell: Cell, records: Iterable[TrialRecord]) -> None:
        self.cell = cell
        self._distributions = {name: _distribution(d) for name, d in cell.search.items()}
        self._study = optuna.create_study(
            direction="maximize" if cell.greater_is_better else "minimize", pruner=_pruner(cell.study)
        )
        self._open: dict[int, optuna.trial.Trial] = {}
        self._reported: set[tuple[int, int]] = set()
        for record in sorted(records, key=lambda r: r.spec.number):
            self._study.add_trial(self._frozen(record))

    def ask(self, number: int) -> dict[str, Scalar]:
        """Return the point of trial ``number``; the first is the method's defaults."""
        seed = derive_seed(self.cell.seed, self.cell.hash, "sampler", number)
        self._study.sampler = _sampler(self.cell.study, seed)
        if number == 0:
            self._study.enqueue_trial(self._defaults())
        trial = self._study.ask(self._distributions)
        self._open[number] = trial
        return dict(trial.params)

    def should_prune(self, number: int, step: int, value: float) -> bool:
        """Hear of a validation score of a running trial; True if the trial is not worth going on."""
        trial = self._open[number]
        # A trial that runs again after its worker died reports its first steps again.
        if (number, step) not in self._reported:
            self._reported.add((number, step))
            trial.report(value, step)
        return bool(trial.should_prune())

    def tell(self, record: TrialRecord) -> None:
        """Hear how a trial ended."""
        state = _STATES.get(record.status, TrialState.FAIL)
        value = record.objective if state is TrialState.COMPLETE else None
        self._study.tell(self._open.pop(record.spec.number), value, state)

    def _defaults(self) -> dict[str, Any]:
        """Return the cell's own values of what is searched, where they lie inside the range."""
        method = methods.build(self.cell.method.name, self.cell.method.options, self.cell.title)
        own = {**self.cell.training.model_dump(), **method.model_dump()}
        return {
            name: own[name]
            for name, distribution in self._distributions.items()
            if own.get(name) is not None and _contains(distribution, own[name])
        }

    def _frozen(self, record: TrialRecord) -> optuna.trial.FrozenTrial:
        state = _STATES.get(record.status, TrialState.FAIL)
        curve = {e.step: e.metrics[self.cell.objective] for e in record.validation_curve}
        return optuna.trial.create_trial(
            state=state,
            value=record.objective if state is TrialState.COMPLETE else None,
            params=dict(record.spec.params),
            distributions=self._distributions,
            intermediate_values=curve,
        )


def _distribution(ours: Any) -> BaseDistribution:
    if isinstance(ours, Choice):
        return CategoricalDistribution(ours.choices)
    if isinstance(ours, Float):
        return FloatDistribution(ours.low, ours.high, log=ours.log)
    return IntDistribution(ours.low, ours.high, log=ours.log)


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return bool(distribution.low <= value <= distribution.high)


def _sampler(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    if study.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=5)


def _pruner(study: Study) -> optuna.pruners.BasePruner:
    if study.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(
        n_startup_trials=study.pruner_startup_trials, n_warmup_steps=study.pruner_warmup_steps
    )
