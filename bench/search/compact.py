"""Optuna's storage in memory, with finished trials packed: a study has to keep each of them, for as long as it runs.

A finished trial is six dictionaries and lists of Python objects, some 2.5 KiB. Packed it is its numbers as doubles, and
what it has in common with others (state, ranges, steps of validation) once for all of them.
"""

from __future__ import annotations

import math
from datetime import datetime
from struct import pack, unpack
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

_OF_RUNNING = "tpe:relative_params"
"""Begins the attributes by which TPE shows a point to other workers while its trial runs."""


class CompactStorage(InMemoryStorage):
    """Optuna's storage in memory; only how finished trials lie in memory differs.

    For samplers and pruners that read a finished trial once: to unpack it takes some microseconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shapes: dict[_Shape, _Shape] = {}

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial, which may have ended already, and return its id."""
        if template_trial is not None and template_trial.state.is_finished():
            template_trial = PackedTrial(template_trial, self._shapes)  # what is packed is copied in no time
        trial_id = super().create_new_trial(study_id, template_trial)
        if template_trial is not None:
            self._set_trial(trial_id, self._get_trial(trial_id))
        return trial_id

    def _set_trial(self, trial_id: int, trial: FrozenTrial) -> None:
        # All changes of a trial come by here.
        super()._set_trial(trial_id, PackedTrial(trial, self._shapes) if trial.state.is_finished() else trial)


class _Shape(NamedTuple):
    """What trials have in common."""

    objectives: int | None
    """How many values there are; None if there is not even a list of them."""
    space: tuple[tuple[str, BaseDistribution], ...]
    steps: tuple[int, ...]


class PackedTrial(FrozenTrial):
    """A finished trial that is unpacked when it is asked for more than its number and state.

    Args:
        trial: a finished trial.
        shapes: what earlier trials have had in common; this one's is added.
    """

    __slots__ = ("_attributes", "_numbers", "_shape", "_trial_id", "number", "state")

    def __init__(self, trial: FrozenTrial, shapes: dict[_Shape, _Shape]) -> None:
        # Not the parent's, which would fill a dictionary: what is not a slot is found by `__getattr__`.
        self.number, self._trial_id, self.state = trial.number, trial._trial_id, trial.state
        values, curve, space = trial.values, trial.intermediate_values, trial.distributions
        shape = _Shape(None if values is None else len(values), tuple(space.items()), tuple(curve))
        self._shape = shapes.setdefault(shape, shape)
        numbers = [
            _seconds(trial.datetime_start),
            _seconds(trial.datetime_complete),
            *(values or ()),
            *(distribution.to_internal_repr(trial.params[name]) for name, distribution in space.items()),
            *curve.values(),
        ]
        self._numbers = pack(f"{len(numbers)}d", *numbers)
        kept = {key: value for key, value in trial.system_attrs.items() if not key.startswith(_OF_RUNNING)}
        self._attributes = (trial.user_attrs, kept) if trial.user_attrs or kept else None

    def unpacked(self) -> FrozenTrial:
        """Return the trial as it was."""
        objectives, space, steps = self._shape
        start, complete, *rest = unpack(f"{len(self._numbers) // 8}d", self._numbers)
        values, rest = rest[: objectives or 0], rest[objectives or 0 :]
        chosen, curve = rest[: len(space)], rest[len(space) :]
        user, system = self._attributes or ({}, {})
        return FrozenTrial(
            number=self.number,
            trial_id=self._trial_id,
            state=self.state,
            value=None,
            values=None if objectives is None else values,
            datetime_start=_moment(start),
            datetime_complete=_moment(complete),
            params={name: kind.to_external_repr(x) for (name, kind), x in zip(space, chosen, strict=True)},
            distributions=dict(space),
            user_attrs=dict(user),
            system_attrs=dict(system),
            intermediate_values=dict(zip(steps, curve, strict=True)),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unpacked(), name)

    def __eq__(self, other: object) -> bool:
        return self.unpacked() == (other.unpacked() if isinstance(other, PackedTrial) else other)

    def __hash__(self) -> int:
        return hash(self.unpacked())

    def __copy__(self) -> FrozenTrial:
        return self.unpacked()

    def __deepcopy__(self, memo: Any) -> FrozenTrial:
        return self.unpacked()


def _seconds(moment: datetime | None) -> float:
    return math.nan if moment is None else moment.timestamp()


def _moment(seconds: float) -> datetime | None:
    return None if math.isnan(seconds) else datetime.fromtimestamp(seconds)
