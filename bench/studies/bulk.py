"""Many trials into Optuna's database at once.

`optuna.Study.add_trial` asks the database some forty questions a trial (has the trial ended, how many came before it,
is each value there already) that a single writer need not ask; in a study of ten thousand trials they cost
more than all else that the driver does. The tables are Optuna's own, by its own classes, of the release that
has made the database; that both ways write the same is tested.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna


def insert_trials(storage: Any, study_id: int, trials: Sequence[optuna.trial.FrozenTrial], first: int) -> None:
    """Write finished trials in one transaction.

    Args:
        storage: Optuna's ``RDBStorage``.
        study_id: of a study in it that has ``first`` trials.
        trials: the trials that follow.
        first: number of the first of them.
    """
    from optuna.storages._rdb import models
    from sqlalchemy.orm import Session

    with Session(storage.engine) as session, session.begin():
        rows = [
            models.TrialModel(
                study_id=study_id,
                number=first + offset,
                state=trial.state,
                datetime_start=trial.datetime_start,
                datetime_complete=trial.datetime_complete,
            )
            for offset, trial in enumerate(trials)
        ]
        session.add_all(rows)
        session.flush()  # gives them their ids
        for row, trial in zip(rows, trials, strict=True):
            session.add_all(_details(models, row.trial_id, trial))


def _details(models: Any, trial_id: Any, trial: optuna.trial.FrozenTrial) -> Iterator[Any]:
    """Yield what belongs to a trial, table by table."""
    for objective, number in enumerate(trial.values or ()):
        value, kind = models.TrialValueModel.value_to_stored_repr(number)
        yield models.TrialValueModel(trial_id=trial_id, objective=objective, value=value, value_type=kind)
    for name, chosen in trial.params.items():
        distribution = trial.distributions[name]
        yield models.TrialParamModel(
            trial_id=trial_id,
            param_name=name,
            param_value=distribution.to_internal_repr(chosen),
            distribution_json=_distribution_json(distribution),
        )
    for step, score in trial.intermediate_values.items():
        value, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(score)
        yield models.TrialIntermediateValueModel(
            trial_id=trial_id, step=step, intermediate_value=value, intermediate_value_type=kind
        )
    for model, attributes in (
        (models.TrialUserAttributeModel, trial.user_attrs),
        (models.TrialSystemAttributeModel, trial.system_attrs),
    ):
        for key, value in attributes.items():
            yield model(trial_id=trial_id, key=key, value_json=json.dumps(value))


def _distribution_json(distribution: optuna.distributions.BaseDistribution) -> str:
    from optuna.distributions import distribution_to_json

    return distribution_to_json(distribution)
