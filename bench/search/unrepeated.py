"""Small discrete spaces: no point is evaluated twice before all were."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from bench.core.config import canonical_json
from bench.core.distributions import Choice, Float, Scalar, SearchSpace


class Unrepeated(BaseSampler):
    """A sampler whose point, where it has been tried, is replaced by a random one that has not.

    Args:
        space: of a study with finitely many points.
        tried: the points so far, as `canonical_json` writes them; fewer than there are.
    """

    def __init__(
        self,
        sampler: BaseSampler,
        space: SearchSpace,
        distributions: dict[str, BaseDistribution],
        tried: Collection[str],
        seed: int,
    ) -> None:
        self._sampler, self._space, self._distributions, self._tried = sampler, space, distributions, tried
        self._random = random.Random(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space: whether a point is new is seen of whole points alone."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the sampler's point, or another one."""
        together = self._sampler.infer_relative_search_space(study, trial)
        point = self._sampler.sample_relative(study, trial, together)
        for name, distribution in search_space.items():
            if name not in point:
                point[name] = (
                    self._draw(name)  # there is one value only
                    if distribution.single()
                    else self._sampler.sample_independent(study, trial, name, distribution)
                )
        while canonical_json(point) in self._tried:
            point = {name: self._draw(name) for name in search_space}
        return point

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Leave it to the sampler."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass it on."""
        self._sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Pass it on."""
        self._sampler.after_trial(study, trial, state, values)

    def _draw(self, name: str) -> Scalar:
        ours = self._space[name]
        if isinstance(ours, Choice):
            return self._random.choice(ours.choices)
        return ours.low if isinstance(ours, Float) else self._random.randint(ours.low, ours.high)
