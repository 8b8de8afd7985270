"""What a study has seen, as arrays that grow by a row a trial: TPE and percentile pruning without reading it all anew.

Optuna's own sampler and pruner walk through every finished trial, in Python, for each point and each validation: in a
study of ten thousand trials that is a fifth of a second a trial. These give the same points and the same verdicts, bit
for bit (tested against Optuna's), and read a finished trial once.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner, PercentilePruner
from optuna.pruners._percentile import _get_best_intermediate_result_over_steps, _is_first_in_interval_step
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import default_gamma
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState


class Finished:
    """Yields each finished trial of one study once."""

    def __init__(self) -> None:
        self._seen = 0
        self.open: list[FrozenTrial] = []
        """Trials that had not ended when they were last looked at."""

    def new(self, study: Study) -> Iterator[FrozenTrial]:
        """Yield the trials that have ended since the last call."""
        trials = study.get_trials(deepcopy=False)
        # Optuna replaces a running trial by another object when it changes.
        candidates = [*(trials[trial.number] for trial in self.open), *trials[self._seen :]]
        self._seen = len(trials)
        self.open = [trial for trial in candidates if not trial.state.is_finished()]
        yield from (trial for trial in candidates if trial.state.is_finished())


_LEFT_OUT, _COMPLETE, _PRUNED, _INFEASIBLE = range(4)


class History:
    """The finished trials of a study with one objective, as TPE looks at them: row n is trial n."""

    def __init__(self) -> None:
        self._finished = Finished()
        self._space: dict[str, BaseDistribution] = {}
        self._kind = np.zeros(0, dtype=np.int8)
        self._rank = np.zeros((0, 2))
        self._values = np.zeros((0, 0))
        self.uniform = True
        """Whether all trials have the same parameters, of the same ranges."""

    @property
    def running(self) -> list[FrozenTrial]:
        """Trials under way, by number."""
        trials = (trial for trial in self._finished.open if trial.state is TrialState.RUNNING)
        return sorted(trials, key=lambda trial: trial.number)

    @property
    def space(self) -> dict[str, BaseDistribution]:
        """The parameters of the trials that TPE learns from, by name; empty as long as there are none."""
        return self._space

    def update(self, study: Study) -> None:
        """Take in what has ended."""
        for trial in self._finished.new(study):
            if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
                continue
            if not self._space:
                self._space = dict(sorted(trial.distributions.items()))
            self.uniform &= self._space == trial.distributions
            if self.uniform:
                self._add(trial, study.direction)

    def _add(self, trial: FrozenTrial, direction: StudyDirection) -> None:
        number = trial.number
        if number >= len(self._kind):
            more = max(64, number + 1 - len(self._kind), len(self._kind))
            self._kind = np.concatenate([self._kind, np.zeros(more, dtype=np.int8)])
            self._rank = np.concatenate([self._rank, np.zeros((more, 2))])
            old = self._values if self._values.shape[1] else np.zeros((0, len(self._space)))
            self._values = np.concatenate([old, np.zeros((more, len(self._space)))])
        sign = 1.0 if direction is StudyDirection.MINIMIZE else -1.0
        violated = sum(value for value in trial.constraints.values() if value > 0)
        if violated > 0:
            self._kind[number], self._rank[number] = _INFEASIBLE, (violated, 0.0)
        elif trial.state is TrialState.COMPLETE:
            assert trial.value is not None
            self._kind[number], self._rank[number] = _COMPLETE, (sign * trial.value, 0.0)
        elif trial.intermediate_values:
            step, value = max(trial.intermediate_values.items())
            self._kind[number], self._rank[number] = _PRUNED, (-step, math.inf if math.isnan(value) else sign * value)
        else:
            self._kind[number], self._rank[number] = _PRUNED, (1.0, 0.0)
        self._values[number] = [d.to_internal_repr(trial.params[name]) for name, d in self._space.items()]

    def split(self, gamma: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the best trials and of the others, both ascending.

        Of complete trials the best come first, then pruned ones by step and score, then those that ran into a wall.

        Args:
            gamma: how many are the best, given how many there are.
        """
        numbers = np.flatnonzero(self._kind)
        wanted = gamma(len(numbers))
        below: list[np.ndarray] = []
        for kind in (_COMPLETE, _PRUNED, _INFEASIBLE):
            members = numbers[self._kind[numbers] == kind]
            rank = self._rank[members]
            best = members[np.lexsort((rank[:, 1], rank[:, 0]))[:wanted]]
            wanted -= len(best)
            below.append(best)
        chosen = np.sort(np.concatenate(below))
        return chosen, numbers[~np.isin(numbers, chosen, assume_unique=True)]

    def observations(self, numbers: np.ndarray, name: str) -> np.ndarray:
        """Return a parameter of trials, in Optuna's internal representation."""
        column: np.ndarray = self._values[numbers, list(self._space).index(name)]
        return column


class HistoryTPE(TPESampler):
    """Optuna's TPE, with the arrays of a `History` in place of its walk through all trials.

    Whatever is not a plain study (several objectives, groups, parameters that come and go) is Optuna's own code's.
    """

    history: History | None = None
    """Shared by the samplers of one study: each point has a sampler of its own, with its own seed."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are sampled together."""
        history = self._current(study)
        if history is None or not self._is_multivariate(study):
            return super().infer_relative_search_space(study, trial)
        return {name: distribution for name, distribution in history.space.items() if not distribution.single()}

    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        history = self._current(study)
        if history is None or not search_space.keys() <= history.space.keys():
            return super()._sample(study, trial, search_space)
        below, above = history.split(self._gamma or default_gamma)
        running = []
        if self._constant_liar:
            others = [(t.number, self._get_params(t, study)) for t in history.running if t.number != trial.number]
            running = [(number, params) for number, params in others if search_space.keys() <= params.keys()]
        # A running trial counts as a bad one, in its place by number: later trials weigh more.
        places = np.searchsorted(above, [number for number, _ in running])

        def estimator(numbers: np.ndarray, liars: bool) -> Any:
            observed = {name: history.observations(numbers, name) for name in search_space}
            if liars and running:
                for name, distribution in search_space.items():
                    lies = [distribution.to_internal_repr(params[name]) for _, params in running]
                    observed[name] = np.insert(observed[name], places, lies)
            return self._parzen_estimator_cls(observed, search_space, self._parzen_estimator_parameters)

        good, bad = estimator(below, False), estimator(above, True)
        samples = good.sample(self._rng.rng, self._n_ei_candidates)
        chosen = self._compare(samples, self._compute_acquisition_func(samples, good, bad))
        return {name: distribution.to_external_repr(chosen[name]) for name, distribution in search_space.items()}

    def _current(self, study: Study) -> History | None:
        """Return the history up to now, or None where Optuna's own code has to do."""
        # Under Hyperband Optuna shows a sampler the trials of one bracket alone, as another class of study.
        plain = type(study) is Study and len(study.directions) == 1
        if self.history is None or not plain or self._group or self._constraints_func is not None:
            return None
        self.history.update(study)
        return self.history if self.history.uniform else None


class QuickPercentilePruner(PercentilePruner):
    """Percentile pruning that keeps the validation scores of complete trials by step."""

    _finished: Finished | None = None

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial's best score so far is among the worst at its step."""
        if self._finished is None:
            self._finished, self._complete = Finished(), 0
            self._scores: dict[int, array[float]] = {}
        for ended in self._finished.new(study):
            if ended.state is TrialState.COMPLETE:
                self._complete += 1
                for at, value in ended.intermediate_values.items():
                    self._scores.setdefault(at, array("d")).append(value)
        step = trial.last_step
        if self._complete < max(1, self._n_startup_trials) or step is None or step < self._n_warmup_steps:
            return False
        seen = trial.intermediate_values.keys()
        if not _is_first_in_interval_step(step, seen, self._n_warmup_steps, self._interval_steps):
            return False
        best = _get_best_intermediate_result_over_steps(trial, study.direction)
        if math.isnan(best):
            return True
        scores = self._scores.get(step, array("d"))
        if len(scores) < self._n_min_trials:
            return False
        upwards = study.direction is StudyDirection.MAXIMIZE
        bar = np.nanpercentile(np.array(scores), 100 - self._percentile if upwards else self._percentile)
        return bool(best < bar if upwards else best > bar)


class QuickMedianPruner(MedianPruner, QuickPercentilePruner):
    """Median pruning, the same way."""
